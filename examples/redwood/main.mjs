// A profile and its picture: made, replaced, left alone by a write that fails, and deleted.
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';

import { Model } from './model.mjs';
import { Storage } from './storage.mjs';
import { Table } from './table.mjs';

const TYPES = { '.gif': 'image/gif', '.jpeg': 'image/jpeg', '.jpg': 'image/jpeg', '.png': 'image/png', '.webp': 'image/webp' };

const { DRYSTONE_URL = 'http://localhost:9000', DRYSTONE_SECRET_KEY } = process.env;
const paths = process.argv.slice(2);
if (!DRYSTONE_SECRET_KEY || paths.length !== 2) {
  console.error('DRYSTONE_SECRET_KEY=sk_… node main.mjs ONE.jpg ANOTHER.jpg   (the key: drystone key make shop/dev --secret)');
  process.exit(1);
}
/** What a form brings. */
const picture = async (path) =>
  Object.assign(new Blob([await readFile(path)], { type: TYPES[extname(path).toLowerCase()] ?? '' }), { name: basename(path) });

const storage = new Storage({ url: DRYSTONE_URL, key: DRYSTONE_SECRET_KEY });
const profiles = new Model('profile', { table: new Table(), fields: ['avatar'], storage });
const opens = async (id) => storage.link(id).then(async (url) => (await fetch(url)).status, () => 'nothing');

const made = await profiles.create('1', { name: 'Ann', avatar: await picture(paths[0]) });
console.log(`made ${made.avatar} opens ${await opens(made.avatar)}`);

const changed = await profiles.update('1', { avatar: await picture(paths[1]) });
console.log(`replaced by ${changed.avatar} opens ${await opens(changed.avatar)}`);
console.log(`the first one opens ${await opens(made.avatar)}`);

// There is a row 1, so no other one is made, and what came for it does not stay.
const failed = await profiles.create('1', { name: 'Bob', avatar: await picture(paths[0]) }).catch(({ message }) => message);
console.log(`refused: ${failed}`);

await profiles.delete('1');
console.log(`deleted ${changed.avatar} opens ${await opens(changed.avatar)}`);
