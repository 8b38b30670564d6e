// Stands for a table of a database: rows by their id, kept until this process ends.
export class Table {
  #rows = new Map();

  async find(id) {
    return this.#rows.get(id) ?? null;
  }

  async create(id, row) {
    if (this.#rows.has(id)) throw new Error(`There is a row ${id}.`);
    return this.#put(id, row);
  }

  async update(id, changes) {
    const row = this.#rows.get(id);
    if (!row) throw new Error(`There is no row ${id}.`);
    return this.#put(id, { ...row, ...changes });
  }

  async delete(id) {
    if (!this.#rows.delete(id)) throw new Error(`There is no row ${id}.`);
  }

  #put(id, row) {
    this.#rows.set(id, row);
    return row;
  }
}
