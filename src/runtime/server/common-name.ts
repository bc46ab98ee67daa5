import type { PeerCertificate } from 'node:tls';

/** The common name of a verified certificate; undefined: it has none, or more than one. */
export const commonNameOf = (certificate: PeerCertificate | undefined): string | undefined => {
  // A connection without a certificate has an empty object here, and a certificate with two common names a list.
  const name: unknown = certificate?.subject?.CN;
  return typeof name === 'string' && name !== '' ? name : undefined;
};
