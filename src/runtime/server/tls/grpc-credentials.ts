import type { SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { type CertificateFiles, handshakeMs } from './certificate-files.ts';

/** TLS of a gRPC server whose certificate may become another: for new connections, while open ones go on. */
class FileCredentials extends ServerCredentials {
  constructor(files: CertificateFiles) {
    // A client without a certificate may have a key: who it is decides, not the handshake.
    const handshake = {
      requestCert: files.asksClients,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMs,
    };
    super(handshake, files.context);
    files.onChange((context: SecureContextOptions) => this.updateSecureContextOptions(context));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

export const grpcCredentials = (files: CertificateFiles): ServerCredentials => new FileCredentials(files);
