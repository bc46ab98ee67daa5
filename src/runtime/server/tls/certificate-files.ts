import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { errnoOf } from '../../../errors/errno.ts';
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
  /** Certificate and key are one file of ours that comes later, or again. Without it there is no certificate yet. */
  readonly isAwaited?: boolean;
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
  /** Undefined: there is none yet. */
  #current: Files | undefined;
  #looked: Promise<void> = Promise.resolve();
  #stopTimer: () => void = () => undefined;
  #failure = '';
  #closed = false;

  private constructor(options: CertificateFilesOptions, files: Files | undefined) {
    this.#options = options;
    this.#current = files;
    this.#lookLater();
  }

  /** @throws CONFIG_INVALID for files that cannot be read or used */
  static async open(options: CertificateFilesOptions): Promise<CertificateFiles> {
    const { paths, isAwaited = false } = options;
    try {
      if (!isAwaited) return new CertificateFiles(options, await read(paths));
      if (paths.clientCa !== undefined) checkAuthorities(await readFile(paths.clientCa, 'utf8'));
      const files = new CertificateFiles(options, undefined);
      await files.look();
      return files;
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

  /** What a server takes for new connections; undefined: there is no certificate yet, and nobody gets one. */
  get context(): SecureContextOptions | undefined {
    return this.#current && contextOf(this.#current);
  }

  /** When the certificate ends, as wall time in milliseconds; undefined: there is none yet. */
  get until(): number | undefined {
    return this.#current && Date.parse(new X509Certificate(this.#current.cert).validTo);
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
    this.#stopTimer = this.#options.clock.after(lookEveryMs, () => {
      void this.look().then(() => this.#lookLater());
    });
  }

  /** Takes what the files have now. Never throws. Closed, it says nothing of files that are gone as well. */
  look(): Promise<void> {
    this.#looked = this.#looked.then(() => this.#look());
    return this.#looked;
  }

  async #look(): Promise<void> {
    const { paths, log, isAwaited } = this.#options;
    try {
      const files = await read(paths);
      if (!isDeepStrictEqual(files, this.#current)) {
        this.#current = files;
        const { subject, validTo } = new X509Certificate(files.cert);
        log.info({ subject, until: validTo }, 'TLS certificate is another one');
        for (const tell of this.#listeners) tell(contextOf(files));
      }
      this.#failure = '';
    } catch (error) {
      if (this.#closed) return;
      if (isAwaited === true && this.#current === undefined && errnoOf(error) === 'ENOENT') return;
      const failure = String(error);
      // It says the same at each look.
      if (this.#failure !== failure)
        log.error({ err: error }, 'new TLS files cannot be used; the old ones stay');
      this.#failure = failure;
    }
  }
}

/** @throws Error for files that cannot be read or used */
const read = async ({ certificate, key, clientCa }: CertificatePaths): Promise<Files> => {
  const files = {
    cert: await readFile(certificate, 'utf8'),
    // The file is replaced as a whole, and between two reads of it.
    key: certificate === key ? '' : await readFile(key, 'utf8'),
    ca: clientCa === undefined ? undefined : await readFile(clientCa, 'utf8'),
  };
  const whole = certificate === key ? { ...files, key: files.cert } : files;
  check(whole);
  return whole;
};

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
  if (files.ca !== undefined) checkAuthorities(files.ca);
};

/** Node takes authorities that are none without a word. */
const checkAuthorities = (ca: string): void => {
  if (!new X509Certificate(ca).ca)
    throw new Error('the first certificate of the authorities of clients is that of no authority');
};
