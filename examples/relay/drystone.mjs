// What of the Files API a server needs that stores what it made itself.

export class Drystone {
  #v1;
  #key;
  #environment;

  constructor({ url, key, environment }) {
    this.#v1 = `${url.replace(/\/+$/, '')}/v1`;
    this.#key = key;
    this.#environment = environment;
  }

  /** Stores bytes as a public picture of a row. */
  async save(name, type, bytes, row) {
    const form = new FormData();
    form.append('visibility', 'public');
    form.append('bucket', 'images');
    form.append('metadata', JSON.stringify({ relatedEntityId: row }));
    // The file stands last: what is said of it is known before its bytes come.
    form.append('file', new File([bytes], name, { type }));
    return this.#ask('POST', '/files/upload', form);
  }

  /** Takes a file away for good. */
  remove(id) {
    return this.#ask('DELETE', `/files/${id}?purge=true`);
  }

  /** The address of a smaller picture, made when it is asked for. */
  picture(file, options) {
    return `${this.#v1}/img/${this.#environment}/${options}/${encodeURI(file.key)}`;
  }

  async #ask(method, path, body) {
    const answer = await fetch(`${this.#v1}${path}`, { method, headers: { 'X-API-Key': this.#key }, body });
    const fields = await answer.json();
    if (!answer.ok) throw new Error(`Drystone: ${fields.message}`);
    return fields;
  }
}
