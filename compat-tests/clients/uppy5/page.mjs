// Uppy 5: tus, one PUT to a presigned address, parts by callbacks, and one form or parts as Companion has them, all of the Files API.
import AwsS3 from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import Tus from '@uppy/tus';
import { call, play, told } from '../pages/uploader.mjs';

const asked = (file) => ({ filename: file.name, contentType: file.type, fileSize: file.size });

const s3 = (shouldUseMultipart) => () => new Uppy().use(AwsS3, {
  shouldUseMultipart,
  getChunkSize: () => told.part,
  limit: 1,
  async getUploadParameters(file) {
    const { url, contentType } = await call('POST', '/files/presigned-url', asked(file));
    return { method: 'PUT', url, headers: { 'Content-Type': contentType } };
  },
  async createMultipartUpload(file) {
    const { uploadId, key } = await call('POST', '/files/multipart/init', asked(file));
    return { uploadId, key };
  },
  async signPart(_file, { uploadId, key, partNumber }) {
    const { url } = await call('POST', '/files/multipart/presigned-url', { uploadId, key, partNumber });
    return { url };
  },
  async listParts(_file, { uploadId }) {
    const { parts } = await call('GET', `/files/multipart/${uploadId}/parts`);
    return parts.map(({ partNumber, size, etag }) => ({ PartNumber: partNumber, Size: size, ETag: etag }));
  },
  async completeMultipartUpload(_file, { uploadId, key, parts }) {
    const named = parts.map(({ PartNumber, ETag }) => ({ partNumber: PartNumber, etag: ETag }));
    const { location } = await call('POST', '/files/multipart/complete', { uploadId, key, parts: named });
    return { location };
  },
  async abortMultipartUpload(_file, { uploadId, key }) {
    await call('POST', '/files/multipart/abort', { uploadId, key });
  },
});

/** This one sends what the page names beside: it asks the store itself. */
const companion = (shouldUseMultipart) => () => new Uppy().use(AwsS3, {
  shouldUseMultipart,
  getChunkSize: () => told.largePart,
  limit: 1,
  endpoint: told.api,
  headers: told.headers,
});

play({
  tus: () => new Uppy().use(Tus, { endpoint: `${told.api}/tus`, headers: told.headers }),
  put: s3(false),
  parts: s3(true),
  form: companion(false),
  companion: companion(true),
});
