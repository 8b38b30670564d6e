// Uppy of today: tus, one PUT whose address the Files API signs, and parts of S3 that the page signs with a temporary credential.
import AwsS3 from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import Tus from '@uppy/tus';
import { call, play, told } from '../pages/uploader.mjs';

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
  parts: () => new Uppy().use(AwsS3, {
    shouldUseMultipart: true,
    getChunkSize: () => told.part,
    generateObjectKey: (file) => `uppy/${file.name}`,
    s3Endpoint: told.s3,
    getCredentials: () => ({ credentials: told.credentials, region: 'us-east-1' }),
  }),
});
