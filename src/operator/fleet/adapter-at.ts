import type { ObjectKey } from '../../api/names.ts';
import type { AdapterState, RuntimeState } from './fleet.ts';

/** What a runtime reports of this very Adapter object: under its name it may still have a former one. */
export const adapterAt = (
  runtime: Pick<RuntimeState, 'adapters'> | undefined,
  key: ObjectKey,
  uid: string,
): AdapterState | undefined => {
  const here = runtime?.adapters.get(key);
  return here?.uid === uid ? here : undefined;
};

/** True when the adapter is on the runtime, or on its way there: nothing new would come with it. */
export const isHere = (adapter: AdapterState | undefined): boolean =>
  adapter !== undefined && adapter.state !== 'Remote';

/** True when requests can be answered with it: it is Resident, or takes turns in RAM with others. */
export const canServe = (adapter: AdapterState | undefined): boolean =>
  adapter !== undefined && (adapter.state === 'Resident' || adapter.inTurn);
