// What of the Files API a server needs that stores what its forms bring, with a secret key.

export class Storage {
  #v1;
  #key;

  constructor({ url, key }) {
    this.#v1 = `${url.replace(/\/+$/, '')}/v1`;
    this.#key = key;
  }

  /** Stores a file for a row, by itself seen by nobody else; gives its id. */
  async save(file, row, { bucket = 'images', visibility = 'private' } = {}) {
    const form = new FormData();
    form.append('visibility', visibility);
    form.append('bucket', bucket);
    form.append('metadata', JSON.stringify({ relatedEntityId: row }));
    // The file stands last: what is said of it is known before its bytes come.
    form.append('file', file, file.name);
    return (await this.#ask('POST', '/files/upload', form)).id;
  }

  /** Stores a list of files, or none of them. */
  async saveAll(files, row, how) {
    const ended = await Promise.allSettled(files.map((file) => this.save(file, row, how)));
    const failed = ended.find(({ status }) => status === 'rejected');
    const ids = ended.flatMap(({ value }) => value ?? []);
    if (!failed) return ids;
    await this.purge({ delete: ids });
    throw failed.reason;
  }

  /** One commit on the server: all of the changes, or none. What goes lies in the trash for 7 days. */
  commit(changes) {
    return this.#ask('POST', '/files:commit', JSON.stringify(changes), { 'Content-Type': 'application/json' });
  }

  /** The same changes one by one, and for good. */
  async purge({ delete: unwanted = [], replace = [] }) {
    for (const id of [...unwanted, ...replace.map(({ old }) => old)]) await this.#ask('DELETE', `/files/${id}?purge=true`);
  }

  /** An address that opens a file for so many seconds, without a sign-in. */
  async link(id, seconds = 3600) {
    const fields = JSON.stringify({ expiresIn: seconds });
    return (await this.#ask('POST', `/files/${id}/download-url`, fields, { 'Content-Type': 'application/json' })).url;
  }

  /** A small file as a `data:` address, to stand in a page itself. */
  async dataUri(id) {
    const answer = await this.#answered('GET', `/files/${id}/content`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    return `data:${answer.headers.get('content-type')};base64,${bytes.toString('base64')}`;
  }

  async #ask(method, path, body, headers) {
    return (await this.#answered(method, path, body, headers)).json();
  }

  async #answered(method, path, body, headers = {}) {
    const answer = await fetch(`${this.#v1}${path}`, { method, headers: { ...headers, 'X-API-Key': this.#key }, body });
    if (!answer.ok) {
      const { message = `answered ${answer.status}` } = await answer.json().catch(() => ({}));
      throw new Error(`Drystone: ${message}`);
    }
    return answer;
  }
}
