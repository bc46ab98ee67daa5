import type { PeerCertificate } from 'node:tls';
import { type ChannelCredentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { Credentials, Authority as WholeAuthority } from './authority.ts';
import { replicaRole } from './authority.ts';

type Provider = experimental.CertificateProvider;

/** What has a certificate that changes, and a bundle that verifies others. `isHeld`: whether it has them yet. */
type Authority = Pick<WholeAuthority, 'credentials' | 'onChange'> & { readonly isHeld: boolean };

/** Gives grpc-js the certificate and the bundle of now, and each new one: no restart, connections stay. */
const providerOf = (authority: Authority): Provider => {
  const ends = new Map<unknown, () => void>();
  const listen = (key: unknown, tell: (credentials: Credentials) => void): void => {
    ends.set(key, authority.onChange(tell));
    // Later: grpc-js 1.14 forgets what it is told before the call returns, and then drops every connection.
    queueMicrotask(() => {
      // Without them grpc-js ends connections before TLS begins, until it is told the first ones.
      if (ends.has(key) && authority.isHeld) tell(authority.credentials());
    });
  };
  const end = (key: unknown): void => {
    ends.get(key)?.();
    ends.delete(key);
  };
  return {
    addCaCertificateListener: (listener) =>
      listen(listener, ({ bundle }) => listener({ caCertificate: Buffer.from(bundle) })),
    removeCaCertificateListener: end,
    addIdentityCertificateListener: (listener) =>
      listen(listener, ({ certificate, key }) =>
        listener({ certificate: Buffer.from(certificate), privateKey: Buffer.from(key) }),
      ),
    removeIdentityCertificateListener: end,
  };
};

/** TLS of a replica's server. A client may show a certificate; runtimes have none. */
export const serverCredentials = (authority: Authority): ServerCredentials => {
  // One provider for both roles: grpc-js 1.14 declares the two parameters in the other order than it uses them.
  const provider = providerOf(authority);
  return experimental.createCertificateProviderServerCredentials(provider, provider, false);
};

/** TLS with this replica's certificate, to another replica. */
export const channelCredentials = (authority: Authority): ChannelCredentials => {
  const provider = providerOf(authority);
  return experimental.createCertificateProviderChannelCredentials(provider, provider);
};

/** Name of the replica that a verified certificate belongs to; undefined: it is no replica's. */
export const replicaOf = (certificate: PeerCertificate | undefined): string | undefined => {
  const subject = certificate?.subject;
  // A certificate with the attribute twice has a list here.
  if (subject === undefined || typeof subject.O !== 'string' || typeof subject.CN !== 'string')
    return undefined;
  return subject.O === replicaRole ? subject.CN : undefined;
};
