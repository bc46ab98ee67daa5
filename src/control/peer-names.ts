/** A runtime that shares blobs with the others of its site: namespace/name of its AdapterRuntime. */
export type PeerName = { readonly site: string; readonly runtime: string };

/** Whose blobs a runtime may ask others for: what this namespace has from this source. */
export type PeerGrant = PeerName & { readonly namespace: string; readonly source: string };

const serverPrefix = 'urn:adaptlet:peer:';
const grantPrefix = 'urn:adaptlet:peer-grant:';

const written = (...parts: readonly string[]): string => parts.map(encodeURIComponent).join(':');

/** The only name in the certificate by which a runtime answers others. */
export const peerUri = ({ site, runtime }: PeerName): string => `${serverPrefix}${written(site, runtime)}`;

/** The only name in the certificate by which a runtime asks others. */
export const grantUri = ({ site, runtime, namespace, source }: PeerGrant): string =>
  `${grantPrefix}${written(site, runtime, namespace, source)}`;

/** Undefined for anything that {@link grantUri} did not write. */
export const readGrantUri = (uri: string): PeerGrant | undefined => {
  if (!uri.startsWith(grantPrefix)) return undefined;
  try {
    const parts = uri.slice(grantPrefix.length).split(':').map(decodeURIComponent);
    const [site = '', runtime = '', namespace = '', source = ''] = parts;
    const grant = { site, runtime, namespace, source };
    return grantUri(grant) === uri ? grant : undefined;
  } catch {
    // Percent signs that encode nothing.
    return undefined;
  }
};

/** The only name of a certificate, as OpenSSL writes it; undefined: it has another one, or several. */
export const uriOf = (subjectAltName: string | undefined): string | undefined =>
  /^URI:(urn:adaptlet:[\w%:.!~*'()-]+)$/.exec(subjectAltName ?? '')?.[1];
