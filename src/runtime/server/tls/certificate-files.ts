import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';

/** PEM files. */
export type CertificatePaths = {
  readonly certificate: string;
  readonly key: string;
  /** Authorities of clients; undefined: clients show no certificates. */
  readonly clientCa: string | undefined;
};

export type CertificateFilesOptions = {
  readonly paths: CertificatePaths;
  readonly clock: Clock;
  readonly log: Log;
};

/** Milliseconds that a client may take for its handshake. */
export const handshakeMs = 10_000;

/** Milliseconds between two looks at the files: watches miss what kubelets do with links. */
export const lookEveryMs = 5_000;

type Files = { readonly cert: string; readonly key: string; readonly ca: string | undefined };

/**
 * The certificate of the request ports, as its files have it.
 *
 * Guarantees: what is handed out is a certificate with its own key; files that cannot be used are logged once and change
 * nothing.
 */
export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  readonly #listeners = new Set<(context: SecureContextOptions) => void>();
  #current: Files;
  #stopTimer: () => void = () => undefined;
  #failure = '';
  #closed = false;

  private constructor(options: CertificateFilesOptions, files: Files) {
    this.#options = options;
    this.#current = files;
    this.#lookLater();
  }

  /** @throws CONFIG_INVALID for files that cannot be read or used */
  static async open(options: CertificateFilesOptions): Promise<CertificateFiles> {
    try {
      const files = await read(options.paths);
      check(files);
      return new CertificateFiles(options, files);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new AdaptletError('CONFIG_INVALID', `the TLS certificate cannot be used: ${why}`, {
        advice: 'Name PEM files with --tls-cert, --tls-key and, for certificates of clients, --client-ca.',
        cause: error,
      });
    }
  }

  /** True: clients may show a certificate. */
  get asksClients(): boolean {
    return this.#options.paths.clientCa !== undefined;
  }

  /** What a server takes for new connections. */
  get context(): SecureContextOptions {
    return contextOf(this.#current);
  }

  /** Calls the listener with each new certificate. The result ends it. */
  onChange(listener: (context: SecureContextOptions) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
  }

  #lookLater(): void {
    if (this.#closed) return;
    this.#stopTimer = this.#options.clock.after(lookEveryMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { paths, log } = this.#options;
    try {
      const files = await read(paths);
      if (!isDeepStrictEqual(files, this.#current)) {
        check(files);
        this.#current = files;
        const { subject, validTo } = new X509Certificate(files.cert);
        log.info({ subject, until: validTo }, 'TLS certificate is another one');
        for (const tell of this.#listeners) tell(this.context);
      }
      this.#failure = '';
    } catch (error) {
      const failure = String(error);
      // It says the same at each look.
      if (this.#failure !== failure)
        log.error({ err: error }, 'new TLS files cannot be used; the old ones stay');
      this.#failure = failure;
    }
    this.#lookLater();
  }
}

const read = async ({ certificate, key, clientCa }: CertificatePaths): Promise<Files> => ({
  cert: await readFile(certificate, 'utf8'),
  key: await readFile(key, 'utf8'),
  ca: clientCa === undefined ? undefined : await readFile(clientCa, 'utf8'),
});

const contextOf = ({ cert, key, ca }: Files): SecureContextOptions => ({
  cert,
  key,
  ...(ca === undefined ? {} : { ca }),
  minVersion: 'TLSv1.2',
});

/** @throws Error for a certificate without its key, for files that are none, and for an authority that is none */
const check = (files: Files): void => {
  // Node takes a file that is empty, as while it is written, for one that is not wanted.
  if (files.cert.trim() === '') throw new Error('the certificate is empty');
  if (files.key.trim() === '') throw new Error('the key is empty');
  createSecureContext(contextOf(files));
  // Node takes authorities that are none without a word.
  if (files.ca !== undefined && !new X509Certificate(files.ca).ca)
    throw new Error('the first certificate of the authorities of clients is that of no authority');
};
