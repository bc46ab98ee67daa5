import { X509Certificate } from 'node:crypto';

/** Certificates of a bundle in PEM. @throws Error of one that cannot be read */
export const certificatesIn = (bundle: string): X509Certificate[] =>
  (bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );

/** Wall times in milliseconds. */
export const beginsAt = ({ validFrom }: X509Certificate): number => Date.parse(validFrom);
export const endsAt = ({ validTo }: X509Certificate): number => Date.parse(validTo);

/** A time of a certificate for people. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');
