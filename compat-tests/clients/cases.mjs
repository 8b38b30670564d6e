// Runs the cases of one client script, reports every failure, and ends with the line the suite counts.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { deepStrictEqual } from 'node:assert';

export const ENDPOINT = process.env.COMPAT_ENDPOINT;
export const ACCESS_KEY = process.env.COMPAT_ACCESS_KEY;
export const SECRET_KEY = process.env.COMPAT_SECRET_KEY;
export const MIB = 1024 * 1024;

// Modules come from the cache folder, not from beside the scripts; some scripts need none.
export const load = createRequire(`${process.env.COMPAT_MODULES ?? import.meta.dirname}/`);

const cases = [];
export const test = (name, run) => cases.push([name, run]);

export function data(seed, length) {
  const blocks = [];
  for (let number = 0, at = 0; at < length; number += 1) {
    const block = createHash('sha256').update(`${seed}/${number}`).digest();
    for (let copy = 0; copy < 32; copy += 1) blocks.push(block);
    at += 1024;
  }
  return Buffer.concat(blocks).subarray(0, length);
}

export const md5 = (content) => createHash('md5').update(content).digest('hex');

export function equal(left, right, what = 'value') {
  if (Buffer.isBuffer(left) && Buffer.isBuffer(right)) {
    if (!left.equals(right)) throw new Error(`${what}: ${left.length} bytes are not the ${right.length} expected`);
    return;
  }
  deepStrictEqual(left, right, what);
}

export function holds(truth, what) {
  if (!truth) throw new Error(`does not hold: ${what}`);
}

export async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

export async function main() {
  const wanted = process.argv.slice(2);
  const failed = [];
  let ran = 0;
  for (const [name, run] of cases) {
    if (wanted.length && !wanted.includes(name)) continue;
    ran += 1;
    try {
      await run();
      console.log(`ok ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED ${name}`);
      console.error(error);
    }
  }
  console.log(`cases: ${ran - failed.length} passed, ${failed.length} failed ${failed}`);
  process.exit(failed.length || !ran ? 1 : 0);
}
