import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { asAdaptletError } from '../../errors/adaptlet-error.ts';
import type {
  EnrolmentServer,
  EnrolRequest,
  Issued,
  RenewRequest,
} from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import { serviceErrorOf } from '../../grpc/service-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Devices } from './devices.ts';

type Answer = { readonly issued: Issued };

/** What devices ask for before they have a certificate, or when it is over. */
export const enrolmentService = (devices: Pick<Devices, 'enrol' | 'renew'>, logger: Log): EnrolmentServer => {
  const answered =
    <Request>(ask: (request: Request, signal: AbortSignal) => Promise<Issued>) =>
    async (call: ServerUnaryCall<Request, Answer>, callback: sendUnaryData<Answer>): Promise<void> => {
      const left = new AbortController();
      call.on('cancelled', () => left.abort());
      let issued: Issued;
      try {
        issued = await ask(call.request, left.signal);
      } catch (error) {
        const failure = asAdaptletError(error, 'issuing a certificate to a device');
        const keys = { err: failure, peer: call.getPeer() };
        // Who went away hears of nothing, and nothing is wrong.
        if (failure.code === 'INTERNAL' && !left.signal.aborted)
          logger.error(keys, 'a device got no certificate');
        else logger.info(keys, 'a device got no certificate');
        callback(serviceErrorOf(failure));
        return;
      }
      callback(null, { issued });
    };
  const enrol = answered((request: EnrolRequest, signal) => devices.enrol(request, signal));
  const renew = answered((request: RenewRequest, signal) => devices.renew(request, signal));
  return {
    enrol: (call, callback) => void enrol(call, callback),
    renew: (call, callback) => void renew(call, callback),
  };
};
