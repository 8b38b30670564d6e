// Files on their way up, by tus: several at once, each with a preview and its progress, each gone on with after it broke off.
import { headers } from './api.js';
import { kindOf, readableSize } from './show.js';

const AT_ONCE = 3;
const { tus } = globalThis;

export class Uploads {
  #session;
  #list;
  #unfinished;
  #say;
  #stored;
  #waiting = [];
  #running = 0;

  /** `say` tells people something, `stored` is called with the id of a file that has arrived. */
  constructor(session, { list, unfinished, say, stored }) {
    this.#session = session;
    this.#list = list;
    this.#unfinished = unfinished;
    this.#say = say;
    this.#stored = stored;
  }

  add(files) {
    for (const file of files) {
      this.#waiting.push(new Row(file, this.#list));
    }
    this.#next();
  }

  #next() {
    while (this.#running < AT_ONCE && this.#waiting.length) {
      this.#running += 1;
      this.#send(this.#waiting.shift());
    }
  }

  async #send(row) {
    let id = null;
    const ended = () => {
      this.#running -= 1;
      this.#next();
      this.showUnfinished();
    };
    const upload = new tus.Upload(row.file, {
      endpoint: `${this.#session.drystone}/v1/tus`,
      // One request carries the whole file; behind a proxy that limits bodies, set `chunkSize`.
      retryDelays: [0, 1000, 3000, 5000, 10000],
      metadata: { filename: row.file.name, filetype: row.file.type, visibility: 'private' },
      // An upload is its user's: somebody else at the same browser begins their own.
      fingerprint: async (file) => [this.#mark(), file.name, file.type, file.size, file.lastModified].join('|'),
      removeFingerprintOnSuccess: true,
      onBeforeRequest: async (request) => {
        for (const [name, value] of Object.entries(await headers())) request.setHeader(name, value);
      },
      onAfterResponse: (_request, response) => {
        id = response.getHeader('Upload-File-Id') ?? id;
      },
      onProgress: (sent, all) => row.progress(sent, all),
      onError: (error) => {
        row.failed(reason(error));
        ended();
      },
      onSuccess: () => {
        row.remove();
        this.#say(`${row.file.name} is stored.`);
        this.#stored(id);
        ended();
      },
    });
    row.controls({
      pause: () => upload.abort(),
      resume: () => upload.start(),
      cancel: async () => {
        await upload.abort(true).catch(() => {});
        row.remove();
        ended();
      },
    });
    const [before] = await upload.findPreviousUploads();
    if (before) {
      upload.resumeFromPreviousUpload(before);
      row.resumed();
    }
    upload.start();
  }

  #mark() {
    return `example|${this.#session.drystone}|${this.#session.user}`;
  }

  /** What broke off earlier, so that people know to choose these files again. */
  async showUnfinished() {
    const known = await tus.defaultOptions.urlStorage.findAllUploads();
    const names = new Set([...this.#list.children].map((row) => row.dataset.name));
    const open = known.filter((one) => one.urlStorageKey.includes(this.#mark()) && !names.has(one.metadata.filename));
    this.#unfinished.hidden = open.length === 0;
    const items = open.map((one) => {
      const item = document.createElement('li');
      item.append(`${one.metadata.filename} (${readableSize(one.size)}) `);
      const forget = document.createElement('button');
      forget.className = 'quiet';
      forget.textContent = 'Forget';
      forget.setAttribute('aria-label', `Forget ${one.metadata.filename}`);
      forget.addEventListener('click', () => this.#forget(one));
      item.append(forget);
      return item;
    });
    this.#unfinished.querySelector('ul').replaceChildren(...items);
  }

  async #forget(one) {
    const answer = await fetch(one.uploadUrl, { method: 'DELETE', headers: { ...(await headers()), 'Tus-Resumable': '1.0.0' } });
    // What is gone already is as good as forgotten.
    if (answer.ok || answer.status === 404 || answer.status === 410) await tus.defaultOptions.urlStorage.removeUpload(one.urlStorageKey);
    this.showUnfinished();
  }
}

/** What the server said, or what the client says of it. */
function reason(error) {
  try {
    return JSON.parse(error.originalResponse.getBody()).message;
  } catch {
    return 'The connection broke off. Choose the file again to go on.';
  }
}

/** One file on its way, as it is shown. */
class Row {
  #element;
  #preview;
  #last = { at: 0, sent: 0, rate: 0 };

  constructor(file, list) {
    this.file = file;
    const template = document.getElementById('upload');
    this.#element = template.content.firstElementChild.cloneNode(true);
    this.#element.dataset.name = file.name;
    this.#part('name').textContent = file.name;
    this.#part('progress').setAttribute('aria-label', `Progress of ${file.name}`);
    this.#part('state').textContent = `${readableSize(file.size)}, waiting`;
    const picture = this.#part('picture');
    if (file.type.startsWith('image/')) {
      this.#preview = URL.createObjectURL(file);
      const image = new Image();
      image.alt = '';
      image.src = this.#preview;
      picture.append(image);
    } else {
      picture.textContent = kindOf(file.name);
    }
    list.append(this.#element);
  }

  #part(name) {
    return this.#element.querySelector(`.${name}`);
  }

  controls({ pause, resume, cancel }) {
    const toggle = this.#part('pause');
    toggle.hidden = false;
    toggle.addEventListener('click', () => {
      const paused = this.#element.classList.toggle('paused');
      toggle.textContent = paused ? 'Go on' : 'Pause';
      if (paused) this.#part('state').textContent = 'Paused';
      (paused ? pause : resume)();
    });
    this.#part('cancel').addEventListener('click', cancel, { once: true });
  }

  resumed() {
    this.#element.classList.add('resumed');
    this.#part('state').textContent = 'Going on where it was';
  }

  progress(sent, all) {
    const now = performance.now();
    const { at, sent: before, rate } = this.#last;
    if (at && now - at < 200 && sent < all) return;
    const latest = at ? ((sent - before) * 1000) / (now - at) : 0;
    this.#last = { at: now, sent, rate: rate ? 0.7 * rate + 0.3 * latest : latest };
    this.#part('progress').value = all ? sent / all : 1;
    const pace = this.#last.rate > 0 && sent < all ? `, ${readableSize(Math.round(this.#last.rate))}/s` : '';
    this.#part('state').textContent = sent < all ? `${readableSize(sent)} of ${readableSize(all)}${pace}` : 'Being stored';
  }

  failed(message) {
    this.#element.classList.add('failed');
    this.#part('state').textContent = message;
    this.#part('state').setAttribute('role', 'alert');
    this.#part('pause').hidden = true;
    const close = this.#part('cancel');
    close.textContent = 'Close';
    close.addEventListener('click', () => this.remove());
  }

  remove() {
    if (this.#preview) URL.revokeObjectURL(this.#preview);
    this.#element.remove();
  }
}
