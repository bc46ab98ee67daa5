import { X509Certificate } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate, TLSSocket } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import type { Span } from '../../time/bounded-clock.ts';

/** What a node knows of the time, and learns from certificates that it believes. */
export type NodeTime = {
  /** The clock of the machine says less than is known. */
  readonly isBehind: boolean;
  /** What it is at least. */
  readonly least: number;
  /** The clock of the machine says that it is between these. */
  agrees(span: Span): boolean;
  raise(ms: number): void;
  /** It is between these. */
  settle(span: Span): void;
};

export type TrustOptions = {
  /** PEM, one certificate or several. */
  readonly bundle: Buffer;
  /** Whom the certificate has to be for. */
  readonly host: string;
  readonly time: NodeTime;
  /** The last certificate began later than the clock says now. */
  readonly isEarly: boolean;
  /** What this side shows, PEM. */
  readonly client?: { readonly key: Buffer; readonly certificate: Buffer };
};

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

const serverAuth = '1.3.6.1.5.5.7.3.1';

/** The certificates of a bundle. */
const certificatesOf = (bundle: Buffer): readonly X509Certificate[] =>
  (bundle.toString('utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );

/** When all of them hold. */
const spanOf = (...certificates: readonly X509Certificate[]): Span => ({
  from: Math.max(...certificates.map(({ validFrom }) => Date.parse(validFrom))),
  until: Math.min(...certificates.map(({ validTo }) => Date.parse(validTo))),
});

/**
 * Whether an authority signed this certificate for this server, for a node whose clock is behind: when it begins says what time it is at least,
 * and whether it is over is told by what is known of the time. One that is over by that and not by the clock of the machine shows that
 * what is known came from a replica whose clock was ahead: the clock is believed.
 * @returns between what times it is
 * @throws Error that says what is wrong, in the words of OpenSSL where it has some
 */
export const checkCertificate = (
  certificate: X509Certificate,
  { bundle, host, time }: Omit<TrustOptions, 'isEarly' | 'client'>,
): Span => {
  const spans = certificatesOf(bundle)
    .filter((one) => one.ca && certificate.checkIssued(one) && certificate.verify(one.publicKey))
    .map((signer) => spanOf(certificate, signer));
  if (spans.length === 0) throw new Error('unable to verify the first certificate');
  const span =
    spans.find((one) => time.agrees(one)) ??
    spans.find(({ from, until }) => Math.max(time.least, from) < until);
  if (span === undefined) throw new Error('certificate has expired');
  if (
    certificate.ca ||
    (certificate.keyUsage as readonly string[] | undefined)?.includes(serverAuth) === false
  )
    throw new Error('unsuitable certificate purpose');
  const wrong = checkServerIdentity(host, certificate.toLegacyObject());
  if (wrong !== undefined) throw wrong;
  return span;
};

/** TLS to an operator by the authorities of a bundle; what its certificate says of the time is remembered. */
export const operatorCredentials = (options: TrustOptions): ChannelCredentials => {
  const { bundle, host, time, isEarly, client } = options;
  // An authority was made before it was given to us.
  for (const { validFrom } of certificatesOf(bundle)) time.raise(Date.parse(validFrom));
  if (time.isBehind || isEarly) return new ClocklessCredentials(options);
  return ChannelCredentials.createSsl(bundle, client?.key ?? null, client?.certificate ?? null, {
    checkServerIdentity: (_name: string, certificate: PeerCertificate) => {
      const wrong = checkServerIdentity(host, certificate);
      if (wrong === undefined) time.raise(Date.parse(certificate.valid_from));
      return wrong;
    },
  });
};

/** OpenSSL asks the clock of the machine. Here the certificate is checked by {@link checkCertificate}, before anything is sent. */
class ClocklessCredentials extends ChannelCredentials {
  readonly #options: TrustOptions;
  readonly #tls: ChannelCredentials;

  constructor(options: TrustOptions) {
    super();
    this.#options = options;
    const { bundle, client } = options;
    this.#tls = ChannelCredentials.createSsl(bundle, client?.key ?? null, client?.certificate ?? null, {
      rejectUnauthorized: false,
    });
  }

  _isSecure(): boolean {
    return true;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(...given: Parameters<ChannelCredentials['_createSecureConnector']>): Connector {
    const inner = this.#tls._createSecureConnector(...given);
    return {
      connect: async (socket: Socket) => {
        const connected = await inner.connect(socket);
        try {
          this.#check(connected.socket);
        } catch (error) {
          connected.socket.destroy();
          throw error;
        }
        return connected;
      },
      waitForReady: () => inner.waitForReady(),
      getCallCredentials: () => inner.getCallCredentials(),
      destroy: () => inner.destroy(),
    };
  }

  #check(socket: Socket): void {
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    if (certificate === undefined) throw new Error('the operator showed no certificate');
    this.#options.time.settle(checkCertificate(certificate, this.#options));
  }
}

/** TLS knows no server names that are IP addresses: those are only compared with the certificate. */
export const serverNameOf = (host: string): string | undefined =>
  isIP(host) === 0 ? undefined : 'adaptlet-operator';

/** A certificate that begins later than the clock says: its authority knows the time, this clock does not. */
export const saysEarly = (why: string): boolean => /not yet valid/i.test(why);

/** What to do about a stream that did not come about, where its reason alone does not say it. '' for other reasons. */
export const adviceOn = (why: string, caFile: string): string => {
  if (saysEarly(why)) return '; the clock of this node is behind, the next try does without it';
  if (/has expired/i.test(why))
    return `; the clock of this node is wrong, or the operator has no newer certificate: \`adaptlet doctor --node\` compares`;
  if (/self.signed|unable to (get|verify)|issuer|signature failure/i.test(why))
    return `; no authority in ${caFile} signed the operator's certificate. In a pod the kubelet brings the new file once it reaches the API server; elsewhere take ca.crt out of the ConfigMap adaptlet-ca. It is read again at each try`;
  return '';
};
