// Pictures and their rows: no row without its file, and no file that no row names.
import { randomUUID } from 'node:crypto';
import sharp from 'sharp';

/** Bytes of a picture as it comes. */
export const SOURCE_BYTES_MAX = 20_000_000;
const SOURCE_PIXELS_MAX = 50_000_000;
const SIDE_MAX = 1600;

export class NotAPicture extends Error {}

export class Photos {
  #drystone;
  #table;

  constructor(drystone, table) {
    this.#drystone = drystone;
    this.#table = table;
  }

  async add(title, source) {
    const { data, info } = await resized(source);
    const id = randomUUID();
    const file = await this.#drystone.save(`${id}.webp`, 'image/webp', data, `photo-${id}`);
    const row = {
      id,
      title,
      width: info.width,
      height: info.height,
      file: file.id,
      picture: file.url,
      thumbnail: this.#drystone.picture(file, '300x200/smart'),
    };
    try {
      await this.#table.insert(row);
    } catch (error) {
      await this.#drystone.remove(file.id);
      throw error;
    }
    return row;
  }

  all() {
    return this.#table.all();
  }

  /** The row goes first: if this ends in between, a file is left, which `relatedEntityId` still tells of, and never a row without one. */
  async remove(id) {
    const row = this.#table.get(id);
    if (!row) return false;
    await this.#table.remove(id);
    await this.#drystone.remove(row.file);
    return true;
  }
}

/** Upright, no larger than it is shown, and without what the camera wrote into it (also where it was). */
async function resized(source) {
  try {
    return await sharp(source, { limitInputPixels: SOURCE_PIXELS_MAX })
      .rotate()
      .resize(SIDE_MAX, SIDE_MAX, { fit: 'inside', withoutEnlargement: true })
      .webp({ quality: 82 })
      .toBuffer({ resolveWithObject: true });
  } catch (error) {
    throw new NotAPicture(`That cannot be read as a picture: ${error.message}`);
  }
}
