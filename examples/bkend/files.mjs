// The files of an app, written as for bkend: it is told an address, an image host, a key and a token, and knows nothing else of
// who answers.

/** Bytes of a part; what is larger goes in parts of so many. */
const PART_BYTES = 10 * 1024 * 1024;
const PART_TRIES = 3;
const PAGE = 100;

export class FilesError extends Error {
  constructor(status, { error, message } = {}) {
    super(error?.message ?? message ?? `answered ${status}`);
    this.status = status;
    this.code = error?.code;
  }
}

/** Some answers have their fields under `data`, some as they are, and some both. */
export const unwrapped = (answer) => (answer.success && answer.data !== undefined ? answer.data : answer);

export class Files {
  #api;
  #images;
  #headers;
  #fetch;

  /** `token` is the signed-in user's; without one this is a guest, or with a secret key a server. */
  constructor({ api, images, key, token, fetch = globalThis.fetch }) {
    this.#api = api.replace(/\/+$/, '');
    this.#images = images.replace(/\/+$/, '');
    this.#headers = { 'X-API-Key': key, ...(token && { Authorization: `Bearer ${token}` }) };
    this.#fetch = fetch;
  }

  /** Uploads a Blob and registers it; answers the file as it is known from then on. */
  async upload(name, blob, { visibility = 'private', bucket, metadata } = {}) {
    const announced = { filename: name, contentType: blob.type || 'application/octet-stream', fileSize: blob.size, visibility };
    const key = await (blob.size > PART_BYTES ? this.#inParts(announced, blob) : this.#whole(announced, blob));
    const { contentType: mimeType, fileSize: size } = announced;
    return this.#ask('POST', '/files', { s3Key: key, originalName: name, mimeType, size, visibility, bucket, metadata });
  }

  get(id) {
    return this.#ask('GET', `/files/${id}`);
  }

  /** All that the caller may see and that `filters` let through, page by page. */
  async *list(filters = {}) {
    for (let page = 1; ; page += 1) {
      const asked = new URLSearchParams({ ...filters, page, limit: PAGE });
      const { items, pagination } = await this.#ask('GET', `/files?${asked}`);
      yield* items;
      if (!pagination.hasNextPage) return;
    }
  }

  /** Changes name, visibility or metadata. */
  change(id, fields) {
    return this.#ask('PATCH', `/files/${id}`, fields);
  }

  /** An address that opens the file for a while, for whoever may see it. */
  async link(id) {
    return (await this.#ask('POST', `/files/${id}/download-url`)).url;
  }

  remove(id) {
    return this.#ask('DELETE', `/files/${id}`);
  }

  /** The address of a public picture, made as large as it is shown. */
  image({ s3Key }, { width, height, crop = false, quality = 80 }) {
    const size = crop ? `${width}x${height}/smart` : `fit-in/${width}x${height}`;
    return `${this.#images}/${size}/filters:quality(${quality})/${encodeURI(s3Key)}`;
  }

  async #whole(announced, blob) {
    const { url, key } = await this.#ask('POST', '/files/presigned-url', announced);
    await this.#put(url, blob, { 'Content-Type': announced.contentType });
    return key;
  }

  async #inParts(announced, blob) {
    const { uploadId, key } = await this.#ask('POST', '/files/multipart/init', announced);
    try {
      const parts = [];
      for (let at = 0; at < blob.size; at += PART_BYTES) {
        const partNumber = parts.length + 1;
        parts.push({ partNumber, etag: await this.#part({ key, uploadId, partNumber }, blob.slice(at, at + PART_BYTES)) });
      }
      await this.#ask('POST', '/files/multipart/complete', { key, uploadId, parts });
      return key;
    } catch (error) {
      // What has arrived is of no use any more. What broke it is told, not how giving it up went.
      await this.#ask('POST', '/files/multipart/abort', { key, uploadId }).catch(() => {});
      throw error;
    }
  }

  /** Sends one part, again where it broke off, and gives its ETag. */
  async #part(which, bytes) {
    for (let tried = 1; ; tried += 1) {
      const { url } = await this.#ask('POST', '/files/multipart/presigned-url', which);
      try {
        return (await this.#put(url, bytes)).headers.get('etag');
      } catch (error) {
        if (tried === PART_TRIES) throw error;
      }
    }
  }

  async #put(url, body, headers = {}) {
    const answer = await this.#fetch(url, { method: 'PUT', headers, body });
    const text = await answer.text();
    if (!answer.ok) throw new FilesError(answer.status, { message: `The bytes were refused: ${text}` });
    return answer;
  }

  async #ask(method, path, fields) {
    const headers = { ...this.#headers, ...(fields && { 'Content-Type': 'application/json' }) };
    const answer = await this.#fetch(`${this.#api}${path}`, { method, headers, body: fields && JSON.stringify(fields) });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new FilesError(answer.status, told);
    return unwrapped(told);
  }
}
