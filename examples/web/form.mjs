// The page without a script: a form that the browser sends here, and that goes on to Drystone as it comes.
import { Readable } from 'node:stream';

import { hasPicture, kindOf, pictureUrl, readableSize } from './public/show.js';

const SHOWN = 12;

/** Sends a form on, in the name of its sender; gives what to tell them. */
export async function relay(app, user, request) {
  const { token } = await app.sessions.token(user);
  const headers = { 'X-API-Key': app.key, Authorization: `Bearer ${token}`, 'Content-Type': request.headers['content-type'] ?? '' };
  // The body is a stream: this server never holds more than a few kilobytes of a file, however large it is.
  const answer = await fetch(`${app.drystone}/v1/files/upload`, { method: 'POST', headers, body: Readable.toWeb(request), duplex: 'half' });
  const told = await answer.json();
  return answer.ok ? `${told.originalName} is stored.` : told.message;
}

/** The page as it stands for this user, or for somebody who is not signed in. */
export async function formPage(app, user, said) {
  const body = user ? signedIn(user, await recent(app, user)) : { who: '', main: SIGN_IN };
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Files, without a script</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>Files, without a script</h1>
${body.who}
${said ? `<p class="said" role="status">${escaped(said)}</p>` : ''}
${body.main}
<p><a href="/">The page with a script</a> goes on with what broke off.</p>
</main>
</body>
</html>
`;
}

const SIGN_IN = `<form class="card sign-in" method="post" action="/sign-in">
<input type="hidden" name="back" value="/form">
<label for="name">Your name</label>
<input id="name" name="name" required maxlength="40" pattern="[A-Za-z0-9][A-Za-z0-9._\\-]*" autocomplete="username" autocapitalize="none">
<button>Sign in</button>
</form>`;

function signedIn(user, files) {
  const who = `<form class="who" method="post" action="/sign-out"><input type="hidden" name="back" value="/form">
<span>Signed in as <b>${escaped(user)}</b></span> <button class="quiet">Sign out</button></form>`;
  const main = `<form class="card plain" method="post" action="/form" enctype="multipart/form-data">
<label for="visibility">Who may see it</label>
<select id="visibility" name="visibility"><option value="private">Only me</option><option value="public">Everybody</option></select>
<label for="file">File</label>
<input id="file" name="file" type="file" required>
<button>Upload</button>
</form>
<h2>Your newest files</h2>
${files.length ? `<ul class="files">${files.map(item).join('')}</ul>` : '<p class="empty">Nothing here yet.</p>'}`;
  return { who, main };
}

function item({ file, url, picture }) {
  const name = escaped(file.originalName);
  const image = picture ? `<img src="${escaped(picture)}" alt="" loading="lazy">` : escaped(kindOf(file.originalName));
  const seen = file.visibility === 'public' ? 'everybody' : 'only me';
  return `<li class="file" data-id="${file.id}"><a class="picture" href="${escaped(url)}">${image}</a>
<div class="about"><a class="name" href="${escaped(url)}">${name}</a><span class="size">${readableSize(file.size)} · ${seen}</span></div></li>`;
}

/** The user's newest files with an address for each. */
async function recent(app, user) {
  const { token } = await app.sessions.token(user);
  const headers = { 'X-API-Key': app.key, Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const query = new URLSearchParams({ ownerId: user, state: 'active', limit: SHOWN, total: false });
  const { items = [] } = await (await fetch(`${app.drystone}/v1/files?${query}`, { headers })).json();
  if (!items.length) return [];
  const body = JSON.stringify({ ids: items.map((file) => file.id), stable: true });
  const links = await (await fetch(`${app.drystone}/v1/files/download-urls`, { method: 'POST', headers, body })).json();
  const urls = new Map(links.items.filter((link) => link.url).map((link) => [link.id, link.url]));
  const known = items.filter((file) => urls.has(file.id));
  return known.map((file) => {
    const url = urls.get(file.id);
    return { file, url, picture: hasPicture(file) ? pictureUrl(app.environment, url, '400x300/smart') : null };
  });
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
}
