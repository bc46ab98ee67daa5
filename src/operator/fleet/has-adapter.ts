import type { ObjectKey } from '../../api/names.ts';
import type { RuntimeState } from './fleet.ts';

/** True when the runtime has this very Adapter object, or is getting it: nothing new would come with it. */
export const hasAdapter = (
  { adapters }: Pick<RuntimeState, 'adapters'>,
  key: ObjectKey,
  uid: string,
): boolean => {
  const here = adapters.get(key);
  return here?.uid === uid && here.state !== 'Remote';
};
