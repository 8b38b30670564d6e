// Stands for a table of a database: rows by their id, kept until this process ends.
export class Table {
  #rows = new Map();

  async insert(row) {
    this.#rows.set(row.id, row);
  }

  get(id) {
    return this.#rows.get(id);
  }

  all() {
    return [...this.#rows.values()];
  }

  async remove(id) {
    this.#rows.delete(id);
  }
}
