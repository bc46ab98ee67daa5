import { credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { certificatePem } from '../../control/enrolment.ts';
import { EnrolmentClient, type Issued } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import type { Device, EnrolmentCalls } from './device.ts';
import { connectionOptions, type Dial, errorCodeIn, openStream, verifying } from './dial.ts';

/** Milliseconds that an answer may take. */
const deadlineMs = 15_000;
const options = (): { readonly deadline: number } => ({ deadline: Date.now() + deadlineMs });

/** Each call has a connection of its own, verified by the authority that came with the token. */
export const enrolmentCalls = (address: string, authority: string): EnrolmentCalls => {
  const ask = (
    start: (
      client: EnrolmentClient,
      done: (error: ServiceError | null, answer?: { readonly issued?: Issued | undefined }) => void,
    ) => void,
  ): Promise<Issued> => {
    const ca = Buffer.from(certificatePem(authority));
    const secure = credentials.createSsl(ca, null, null, verifying(address));
    const client = new EnrolmentClient(address, secure, connectionOptions(address));
    return new Promise<Issued>((resolve, reject) => {
      start(client, (error, answer) => {
        if (error === null && answer?.issued !== undefined) resolve(answer.issued);
        else reject(refusalOf(error));
      });
    }).finally(() => client.close());
  };
  return {
    enrol: (request) => ask((client, done) => client.enrol(request, new Metadata(), options(), done)),
    renew: (request) => ask((client, done) => client.renew(request, new Metadata(), options(), done)),
  };
};

/** As a stream that ends says it: the operator has put the advice into the details. */
const refusalOf = (error: ServiceError | null): Error =>
  error === null
    ? new Error('the operator answered without a certificate')
    : new Error(named(errorCodeIn(error.metadata), `${status[error.code]}: ${error.details}`), {
        cause: error,
      });

/** The code is what the documentation tells what to do about. */
const named = (code: string, why: string): string => (code === '' ? why : `${code}: ${why}`);

/** Streams of a device, which enrols and renews its certificate before it dials. `address`: in place of that of its token. */
export const deviceDialer =
  (device: Device, address?: string): Dial =>
  async (listener) => {
    const { key, certificate, authority, address: told } = await device.ready();
    return openStream(
      {
        address: address ?? told,
        ca: Buffer.from(certificatePem(authority)),
        client: { key: Buffer.from(key), certificate: Buffer.from(certificate) },
      },
      {
        message: (message) => listener.message(message),
        closed: (why, code) => {
          if (code === 'RUNTIME_UNAUTHENTICATED') device.refused();
          listener.closed(named(code, why));
        },
      },
    );
  };
