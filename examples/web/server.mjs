// The app's own server: serves the page, knows who is signed in, and signs their tokens for Drystone. No file passes through it
// but those of the plain form.
import { createReadStream, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { formPage, relay } from './form.mjs';
import { Sessions } from './sessions.mjs';

const PUBLIC = fileURLToPath(new URL('public/', import.meta.url));
// What is served, and nothing else: no path of a request ever becomes the path of a file.
const FILES = ['index.html', 'style.css', 'main.js', 'api.js', 'uploads.js', 'library.js', 'show.js'];
const TYPES = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript' };
const FORM_BYTES_MAX = 10_000;

/**
 * Starts the server.
 * @param {object} app
 * @param {string} app.drystone where pages reach Drystone, such as http://localhost:9000
 * @param {string} app.key a publishable key of the environment, pk_…
 * @param {string} app.environment the environment, such as shop/dev
 * @param {string} app.secret what the project's issuer signs with
 */
export function serve({ drystone, key, environment, secret, port = 8080, host = '127.0.0.1' }) {
  const app = { drystone: drystone.replace(/\/+$/, ''), key, environment, sessions: new Sessions(secret) };
  const tus = createRequire(import.meta.url).resolve('tus-js-client/dist/tus.min.js');
  const files = new Map(FILES.map((name) => [`/${name}`, join(PUBLIC, name)]));
  files.set('/', join(PUBLIC, 'index.html')).set('/tus.js', tus);
  const server = createServer((request, response) => {
    answer(app, files, request, response).catch((error) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' });
      response.end('Something went wrong here.');
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => resolve(server));
  });
}

async function answer(app, files, request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://app');
  // The page runs its own scripts only, talks to Drystone, and shows pictures of it.
  response.setHeader(
    'Content-Security-Policy',
    `default-src 'self'; connect-src 'self' ${app.drystone}; img-src 'self' blob: data: ${app.drystone}; frame-ancestors 'none'; base-uri 'none'`,
  );
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Referrer-Policy', 'same-origin');
  const user = await app.sessions.user(request.headers.cookie);
  switch (`${request.method} ${pathname}`) {
    case 'POST /sign-in': {
      const form = new URLSearchParams(await text(request));
      const name = (form.get('name') ?? '').trim().toLowerCase();
      const back = form.get('back') === '/form' ? '/form' : '/';
      if (/^[a-z0-9][a-z0-9._-]{0,39}$/.test(name)) response.setHeader('Set-Cookie', await app.sessions.cookie(name));
      return redirect(response, back);
    }
    case 'POST /sign-out':
      response.setHeader('Set-Cookie', app.sessions.noCookie());
      return redirect(response, new URLSearchParams(await text(request)).get('back') === '/form' ? '/form' : '/');
    case 'GET /session': {
      if (!user) return send(response, 401, 'application/json', '{}');
      const { drystone, key, environment } = app;
      return send(response, 200, 'application/json', JSON.stringify({ user, drystone, key, environment, ...(await app.sessions.token(user)) }));
    }
    case 'GET /form':
      return send(response, 200, 'text/html', await formPage(app, user, searchParams.get('said') ?? ''));
    case 'POST /form':
      return redirect(response, user ? `/form?${new URLSearchParams({ said: await relay(app, user, request) })}` : '/form');
    default:
      return file(files.get(pathname), request, response);
  }
}

function file(path, request, response) {
  if (!path) return send(response, 404, 'text/plain', 'There is nothing here.');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'GET only.');
  response.writeHead(200, { 'Content-Type': `${TYPES[extname(path)]}; charset=utf-8`, 'Cache-Control': 'no-cache' });
  if (request.method === 'HEAD') return response.end();
  return createReadStream(path).on('error', (error) => response.destroy(error)).pipe(response);
}

function send(response, status, type, body) {
  response.writeHead(status, { 'Content-Type': `${type}; charset=utf-8`, 'Cache-Control': 'no-store' });
  response.end(body);
}

function redirect(response, to) {
  response.writeHead(303, { Location: to });
  response.end();
}

async function text(request) {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) {
    body += piece;
    if (body.length > FORM_BYTES_MAX) throw new Error('a form that is too long');
  }
  return body;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { DRYSTONE_URL = 'http://localhost:9000', DRYSTONE_ENVIRONMENT = 'shop/dev', DRYSTONE_KEY, ISSUER_SECRET_FILE = 'secret' } = process.env;
  if (!DRYSTONE_KEY) {
    console.error('DRYSTONE_KEY is the publishable key of the environment: drystone key make shop/dev');
    process.exit(1);
  }
  const { PORT = '8080', HOST = '127.0.0.1' } = process.env;
  const secret = readFileSync(ISSUER_SECRET_FILE, 'utf8').trim();
  await serve({ drystone: DRYSTONE_URL, key: DRYSTONE_KEY, environment: DRYSTONE_ENVIRONMENT, secret, port: Number(PORT), host: HOST });
  console.log(`The page is at http://${HOST}:${PORT}/, the form without a script at http://${HOST}:${PORT}/form`);
}
