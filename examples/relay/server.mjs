// A server that pictures pass through: by GraphQL (the multipart request of GraphQL uploads) or by REST. It makes each smaller,
// stores it in Drystone, and keeps which row has which file.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';
import { createFetch } from '@whatwg-node/fetch';
import { GraphQLError } from 'graphql';
import { createSchema, createYoga } from 'graphql-yoga';

import { Drystone } from './drystone.mjs';
import { NotAPicture, Photos, SOURCE_BYTES_MAX } from './photos.mjs';

const typeDefs = /* GraphQL */ `
  scalar File
  type Photo { id: ID!, title: String!, width: Int!, height: Int!, picture: String!, thumbnail: String! }
  type Query { photos: [Photo!]! }
  type Mutation {
    addPhoto(title: String!, file: File!): Photo!
    removePhoto(id: ID!): Boolean!
  }
`;

const resolvers = {
  Query: { photos: (_root, _asked, { photos }) => photos.all() },
  Mutation: {
    async addPhoto(_root, { title, file }, { photos }) {
      try {
        return await photos.add(title, Buffer.from(await file.arrayBuffer()));
      } catch (error) {
        throw error instanceof NotAPicture ? new GraphQLError(error.message) : error;
      }
    },
    removePhoto: (_root, { id }, { photos }) => photos.remove(id),
  },
};

/** Starts the server. `table` is where rows are kept: anything with `insert`, `get`, `all` and `remove`. */
export function serve({ drystone, key, environment, table, port = 8081, host = '127.0.0.1' }) {
  // Here an app asks who is calling, and what they may.
  const photos = new Photos(new Drystone({ url: drystone, key, environment }), table);
  const yoga = createYoga({
    schema: createSchema({ typeDefs, resolvers }),
    context: { photos },
    // What is larger is refused while it comes, and never held.
    fetchAPI: createFetch({ formDataLimits: { files: 1, fileSize: SOURCE_BYTES_MAX, fields: 4, fieldSize: 100_000 } }),
    landingPage: false,
    logging: 'warn',
  });
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://app');
    if (pathname === '/graphql') return yoga(request, response);
    return rest(photos, request, response).catch((error) => {
      const status = error instanceof NotAPicture ? 400 : 500;
      if (status === 500) console.error(error);
      json(response, status, { message: status === 400 ? error.message : 'Something went wrong here.' });
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => resolve(server));
  });
}

async function rest(photos, request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://app');
  const [, of, id] = pathname.split('/');
  if (of !== 'photos') return json(response, 404, { message: 'There is nothing here.' });
  switch (`${request.method}${id ? ' one' : ''}`) {
    case 'GET':
      return json(response, 200, photos.all());
    case 'POST': {
      const picture = await body(request);
      if (!picture) return json(response, 413, { message: `A picture has at most ${SOURCE_BYTES_MAX} bytes.` });
      return json(response, 201, await photos.add(searchParams.get('title') ?? 'Untitled', picture));
    }
    case 'DELETE one':
      return json(response, (await photos.remove(id)) ? 200 : 404, {});
    default:
      return json(response, 405, { message: 'GET, POST, or DELETE of one.' });
  }
}

/** All of a body, or null of one that is too large. */
async function body(request) {
  const pieces = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes <= SOURCE_BYTES_MAX) pieces.push(piece);
    // The rest is read and dropped, so that the client sees the answer.
    else pieces.length = 0;
  }
  return bytes <= SOURCE_BYTES_MAX ? Buffer.concat(pieces) : null;
}

function json(response, status, fields) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(fields));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { DRYSTONE_URL = 'http://localhost:9000', DRYSTONE_SECRET_KEY, DRYSTONE_ENVIRONMENT = 'shop/dev', PORT = '8081' } = process.env;
  if (!DRYSTONE_SECRET_KEY) {
    console.error('DRYSTONE_SECRET_KEY is a secret key of the environment: drystone key make shop/dev --secret');
    process.exit(1);
  }
  const { Table } = await import('./table.mjs');
  await serve({ drystone: DRYSTONE_URL, key: DRYSTONE_SECRET_KEY, environment: DRYSTONE_ENVIRONMENT, table: new Table(), port: Number(PORT) });
  console.log(`GraphQL at http://127.0.0.1:${PORT}/graphql, REST at http://127.0.0.1:${PORT}/photos`);
}
