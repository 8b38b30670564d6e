// The user's files: pictures, who may see them, links, and the trash.
import { call } from './api.js';
import { hasPicture, kindOf, pictureUrl, readableSize } from './show.js';

const PAGE = 24;
const OPTIONS = '400x300/smart';

export class Library {
  #session;
  #list;
  #more;
  #empty;
  #say;
  #cursor = null;

  constructor(session, { list, more, empty, say }) {
    this.#session = session;
    this.#list = list;
    this.#more = more;
    this.#empty = empty;
    this.#say = say;
    more.addEventListener('click', () => this.#try(this.#page()));
  }

  open() {
    return this.#try(this.#page());
  }

  /** Shows a file that has just arrived, in front of the others. */
  async show(id) {
    await this.#try(this.#prepend(id));
  }

  async #try(work) {
    try {
      await work;
    } catch (error) {
      this.#say(error.message);
    }
    this.#empty.hidden = this.#list.children.length > 0;
  }

  async #page() {
    const query = new URLSearchParams({ ownerId: this.#session.user, state: 'active', limit: PAGE, total: false });
    if (this.#cursor) query.set('cursor', this.#cursor);
    const { items, pagination } = await call('GET', `/files?${query}`);
    this.#cursor = pagination.nextCursor;
    this.#more.hidden = !pagination.hasNextPage;
    const links = await this.#links(items);
    this.#list.append(...items.map((file) => this.#card(file, links.get(file.id))));
  }

  async #prepend(id) {
    const file = await call('GET', `/files/${id}`);
    const links = await this.#links([file]);
    this.#list.prepend(this.#card(file, links.get(id)));
  }

  /** An address for each file, all in one request; `stable`, so that the browser keeps the pictures it has. */
  async #links(files) {
    if (!files.length) return new Map();
    const { items } = await call('POST', '/files/download-urls', { ids: files.map((file) => file.id), stable: true });
    return new Map(items.map((item) => [item.id, item.url]));
  }

  #card(file, link) {
    const card = document.getElementById('file').content.firstElementChild.cloneNode(true);
    const part = (name) => card.querySelector(`.${name}`);
    card.dataset.id = file.id;
    card.dataset.key = file.key;
    part('name').textContent = file.originalName;
    part('size').textContent = `${readableSize(file.size)} · ${new Date(file.createdAt).toLocaleDateString()}`;
    part('seen').setAttribute('aria-label', `Everybody may see ${file.originalName}`);
    part('copy').setAttribute('aria-label', `Copy a link to ${file.originalName}`);
    part('delete').setAttribute('aria-label', `Delete ${file.originalName}`);
    part('seen').addEventListener('click', () => this.#try(this.#toggle(card, file)));
    part('copy').addEventListener('click', () => this.#try(this.#copy(file)));
    part('delete').addEventListener('click', () => this.#try(this.#delete(card, file)));
    draw(card, this.#session.environment, file, link);
    return card;
  }

  async #toggle(card, file) {
    const visibility = file.visibility === 'public' ? 'private' : 'public';
    Object.assign(file, await call('PATCH', `/files/${file.id}`, { visibility }));
    const links = await this.#links([file]);
    draw(card, this.#session.environment, file, links.get(file.id));
    this.#say(`${file.originalName}: ${visibility === 'public' ? 'everybody may see it' : 'only you see it'} now.`);
  }

  /** Of a public file the lasting address, of others one that ends in an hour. */
  async #copy(file) {
    const url = file.url ?? (await call('POST', `/files/${file.id}/download-url`)).url;
    // Where pages may not use the clipboard (plain HTTP from another machine), the address is shown instead.
    if (navigator.clipboard) await navigator.clipboard.writeText(url);
    else globalThis.prompt('The address of the file', url);
    this.#say(file.url ? 'The link is copied.' : 'The link is copied. It ends in an hour.');
  }

  async #delete(card, file) {
    await call('DELETE', `/files/${file.id}`);
    const next = card.nextElementSibling;
    card.remove();
    this.#say(`${file.originalName} is in the trash.`, {
      label: 'Undo',
      run: () => this.#try(this.#restore(card, file, next)),
    });
  }

  async #restore(card, file, next) {
    await call('POST', `/files/${file.id}/restore`);
    this.#list.insertBefore(card, next?.isConnected ? next : null);
  }
}

function draw(card, environment, file, link) {
  const url = file.url ?? link;
  const open = file.visibility === 'public';
  card.querySelector('.seen').setAttribute('aria-checked', String(open));
  for (const anchor of card.querySelectorAll('a')) anchor.href = link;
  const picture = card.querySelector('.picture');
  if (!hasPicture(file)) {
    picture.textContent = kindOf(file.originalName);
    return;
  }
  const image = picture.querySelector('img') ?? picture.appendChild(new Image());
  image.alt = '';
  image.loading = 'lazy';
  image.src = pictureUrl(environment, url, OPTIONS);
}
