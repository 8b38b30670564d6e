// Who is signed in. Here anybody is who they say, without a password: an app has its own sign-in in this place.
import { createHmac } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';

const COOKIE = 'example-session';
const SIGNED_IN_SECONDS = 30 * 24 * 3600;
const TOKEN_SECONDS = 3600;

export class Sessions {
  #issuer;
  #cookies;

  constructor(secret) {
    this.#issuer = new TextEncoder().encode(secret);
    // Another key than the issuer's, so that no cookie is ever a token.
    this.#cookies = createHmac('sha256', secret).update('cookies of this app').digest();
  }

  /** The header that signs somebody in. */
  async cookie(user) {
    return `${COOKIE}=${await signed(user, SIGNED_IN_SECONDS, this.#cookies)}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${SIGNED_IN_SECONDS}`;
  }

  noCookie() {
    return `${COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0`;
  }

  /** Whom the cookies of a request name, or null. */
  async user(cookies = '') {
    const found = cookies.split('; ').find((cookie) => cookie.startsWith(`${COOKIE}=`));
    if (!found) return null;
    try {
      const { payload } = await jwtVerify(found.slice(COOKIE.length + 1), this.#cookies, { algorithms: ['HS256'] });
      return payload.sub ?? null;
    } catch {
      return null;
    }
  }

  /** What proves to Drystone who somebody is, for an hour. */
  async token(user) {
    return { token: await signed(user, TOKEN_SECONDS, this.#issuer), expiresIn: TOKEN_SECONDS };
  }
}

function signed(user, seconds, key) {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(user).setIssuedAt(now).setExpirationTime(now + seconds).sign(key);
}
