import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { certificatePem } from '../../control/enrolment.ts';
import { EnrolmentClient, type Issued } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import type { Device, EnrolmentCalls } from './device.ts';
import { connectionOptions, type Dial, errorCodeIn, hostOf, openStream } from './dial.ts';
import { type NodeTime, operatorCredentials, saysEarly } from './trust.ts';

/** Milliseconds that an answer may take. */
const deadlineMs = 15_000;
const options = (): { readonly deadline: number } => ({ deadline: Date.now() + deadlineMs });

/** Each call has a connection of its own, verified by the authority that came with the token. */
export const enrolmentCalls = (address: string, authority: string, time: NodeTime): EnrolmentCalls => {
  type Start = (
    client: EnrolmentClient,
    done: (error: ServiceError | null, answer?: { readonly issued?: Issued | undefined }) => void,
  ) => void;
  const ask = (start: Start, isEarly = false): Promise<Issued> => {
    const bundle = Buffer.from(certificatePem(authority));
    const secure = operatorCredentials({ bundle, host: hostOf(address), time, isEarly });
    const client = new EnrolmentClient(address, secure, connectionOptions(address));
    return new Promise<Issued>((resolve, reject) => {
      start(client, (error, answer) => {
        client.close();
        if (error === null && answer?.issued !== undefined) resolve(answer.issued);
        // The clock of this node is behind: the certificate is checked without it.
        else if (!isEarly && error !== null && saysEarly(error.details)) resolve(ask(start, true));
        else reject(refusalOf(error));
      });
    });
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

export type DeviceDialOptions = {
  /** In place of that of its token. */
  readonly address?: string | undefined;
  readonly time: NodeTime;
};

/** Streams of a device, which enrols and renews its certificate before it dials. */
export const deviceDialer = (device: Device, { address: own, time }: DeviceDialOptions): Dial => {
  let isEarly = false;
  return async (listener) => {
    const { key, certificate, authority, address: told } = await device.ready();
    const address = own ?? told;
    const secure = operatorCredentials({
      bundle: Buffer.from(certificatePem(authority)),
      host: hostOf(address),
      time,
      isEarly,
      client: { key: Buffer.from(key), certificate: Buffer.from(certificate) },
    });
    return openStream(
      { address, secure, metadata: new Metadata() },
      {
        message: (message) => listener.message(message),
        closed: ({ end, details, code }) => {
          isEarly = saysEarly(details);
          if (code === 'RUNTIME_UNAUTHENTICATED') device.refused();
          listener.closed({ ...end, why: named(code, end.why) });
        },
      },
    );
  };
};
