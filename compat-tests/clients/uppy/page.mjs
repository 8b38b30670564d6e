// Uppy of today: tus, one PUT whose address the Files API signs, one PUT or parts that the page signs with credentials of its user,
// and one form or parts as Companion has them.
import AwsS3 from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import Tus from '@uppy/tus';
import { call, play, told } from '../pages/uploader.mjs';

/** As the Files API gives them to Companion's clients, and as this Uppy takes them. */
async function getCredentials() {
  const { credentials: given, region } = await call('GET', '/s3/sts');
  const credentials = { accessKeyId: given.AccessKeyId, secretAccessKey: given.SecretAccessKey, sessionToken: given.SessionToken };
  return { credentials, region };
}

const signing = (shouldUseMultipart) => () => new Uppy().use(AwsS3, {
  shouldUseMultipart,
  getChunkSize: () => told.part,
  generateObjectKey: (file) => `uppy/${file.name}`,
  s3Endpoint: told.s3,
  getCredentials,
});

/** It sends Companion no key: the app's own server passes on what it asks. */
const companion = (shouldUseMultipart) => () => new Uppy().use(AwsS3, {
  shouldUseMultipart,
  getChunkSize: () => told.largePart,
  companionEndpoint: `${location.origin}/companion`,
});

play({
  tus: () => new Uppy().use(Tus, { endpoint: `${told.api}/tus`, headers: told.headers }),
  put: () => new Uppy().use(AwsS3, {
    shouldUseMultipart: false,
    generateObjectKey: (file) => file.name,
    // The server names the key, and the page goes by that.
    async signRequest({ key, contentType }) {
      const signed = await call('POST', '/files/presigned-url', { filename: key, contentType });
      return { url: signed.url, key: signed.key };
    },
  }),
  signed: signing(false),
  parts: signing(true),
  form: companion(false),
  companion: companion(true),
});
