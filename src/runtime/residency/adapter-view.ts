import type { Digest, ObjectKey } from '../../api/names.ts';

/** An adapter as people see it. */
export type AdapterView = {
  readonly key: ObjectKey;
  readonly digest: Digest | '';
  readonly state: string;
  /** It answers requests of a canary: Resident, or in turn with others where one adapter is in RAM at a time. */
  readonly serves: boolean;
  /** Reason of Failed, else ''. */
  readonly reason: string;
  readonly message: string;
  readonly pinned: boolean;
  readonly priority: number;
  readonly references: number;
  /** Requests that wait until it is in RAM; absent: none. */
  readonly waiting?: number;
  readonly storedBytes: number;
  readonly residentBytes: number;
  /** RAM that it needs, whether it is there or not; 0 while that is not known. */
  readonly neededBytes: number;
  readonly rank: number;
  readonly targetModules: readonly string[];
  /** Of an adapter that classifies, once it was compiled. */
  readonly labels?: readonly string[];
};
