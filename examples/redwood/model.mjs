// A model whose rows have files, and the rules that keep the two together: what failed leaves no new file behind, what succeeded
// no old one.

export class Model {
  #name;
  #table;
  #fields;
  #storage;
  #settle;

  /**
   * `fields` are those that name a file. `table` is anything with `find`, `create`, `update` and `delete`. `settle` says what becomes of
   * files whose row was written or not: by itself `storage.commit`.
   */
  constructor(name, { table, fields, storage, settle = (changes) => storage.commit(changes) }) {
    this.#name = name;
    this.#table = table;
    this.#fields = fields;
    this.#storage = storage;
    this.#settle = settle;
  }

  create(id, row) {
    return this.#written(id, row, {}, (whole) => this.#table.create(id, whole));
  }

  /** Of the fields that hold files, a file takes the place of the one there was, null takes it away, and what is left out stays. */
  async update(id, changes) {
    const old = (await this.#table.find(id)) ?? {};
    return this.#written(id, changes, old, (whole) => this.#table.update(id, whole));
  }

  async upsert(id, row) {
    return (await this.#table.find(id)) ? this.update(id, row) : this.create(id, row);
  }

  /** The row goes first: whatever breaks off in between, no row names a file that is gone. */
  async delete(id) {
    const old = (await this.#table.find(id)) ?? {};
    await this.#table.delete(id);
    await this.#change({ delete: this.#fields.flatMap((field) => old[field] ?? []) });
  }

  async #written(id, row, old, write) {
    const given = this.#fields.filter((field) => row[field]);
    const ids = await this.#storage.saveAll(given.map((field) => row[field]), `${this.#name}-${id}`);
    const fresh = Object.fromEntries(given.map((field, at) => [field, ids[at]]));
    let written;
    try {
      written = await write({ ...row, ...fresh });
    } catch (error) {
      await this.#change({ delete: ids });
      throw error;
    }
    const replaced = given.filter((field) => old[field]);
    await this.#change({
      activate: given.filter((field) => !old[field]).map((field) => fresh[field]),
      replace: replaced.map((field) => ({ old: old[field], new: fresh[field] })),
      delete: this.#fields.filter((field) => row[field] === null && old[field]).map((field) => old[field]),
    });
    return written;
  }

  /** Nothing to change asks nobody. */
  async #change(changes) {
    if (Object.values(changes).some(({ length }) => length > 0)) await this.#settle(changes);
  }
}
