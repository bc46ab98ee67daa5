import { connect as connectHttp2 } from 'node:http2';
import { isIP } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';

/** What a TLS handshake with a replica of the operator gave. */
export type Handshake = {
  /** End of its certificate, wall time in milliseconds. */
  readonly validUntil: number;
  /** Wall time of the other side in milliseconds, to the second; undefined where it does not say. */
  readonly theirTime: number | undefined;
};

export type HandshakeOptions = {
  readonly host: string;
  readonly port: number;
  /** PEM. */
  readonly ca: string;
  /** By what name the certificate is checked. Default: `host`. */
  readonly name?: string;
  readonly timeoutMs: number;
};

/** Whether a handshake failed by the certificate, and not by the way to the other side. `why`: what its error says. */
export const isNotTrusted = (why: string): boolean => /certificate|altname|self.signed|issuer/i.test(why);

/**
 * Speaks HTTP/2 over TLS as a runtime does, without a call.
 * @throws Error of the connection, or of TLS: why the certificate is not accepted
 */
export const shakeHands = ({
  host,
  port,
  ca,
  name = host,
  timeoutMs,
}: HandshakeOptions): Promise<Handshake> =>
  new Promise((resolve, reject) => {
    const session = connectHttp2(`https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`, {
      ca,
      // TLS knows no server names that are IP addresses; the certificate is compared below in any case.
      servername: isIP(name) === 0 ? name : 'adaptlet-operator',
      checkServerIdentity: (_: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(name, certificate),
    });
    const late = setTimeout(() => fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(late);
      session.destroy();
      reject(error);
    };
    session.once('error', fail);
    session.once('connect', () => {
      const certificate = (session.socket as TLSSocket).getPeerCertificate();
      const request = session.request({ ':path': '/', ':method': 'GET' });
      request.once('error', fail);
      request.once('response', ({ date }) => {
        clearTimeout(late);
        const theirTime = typeof date === 'string' ? Date.parse(date) : Number.NaN;
        resolve({
          validUntil: Date.parse(certificate.valid_to),
          theirTime: Number.isFinite(theirTime) ? theirTime : undefined,
        });
        session.destroy();
      });
      request.end();
    });
  });
