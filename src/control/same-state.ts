/** What runtimes tell of an adapter, on the wire and as the operator keeps it. */
type Told = {
  readonly uid: string;
  readonly digest: string;
  readonly state: string;
  readonly reason: string;
  readonly message: string;
  readonly isFinal: boolean;
  readonly inTurn: boolean;
  readonly storedBytes: number | bigint;
  readonly residentBytes: number | bigint;
  readonly neededBytes: number | bigint;
  readonly rank: number;
  readonly targetModules: readonly string[];
};

/** Field by field: there may be ten thousand of them in each report. */
export const isSameState = <T extends Told>(a: T, b: T): boolean =>
  a === b ||
  (a.state === b.state &&
    a.digest === b.digest &&
    a.uid === b.uid &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.isFinal === b.isFinal &&
    a.inTurn === b.inTurn &&
    a.storedBytes === b.storedBytes &&
    a.residentBytes === b.residentBytes &&
    a.neededBytes === b.neededBytes &&
    a.rank === b.rank &&
    isSameList(a.targetModules, b.targetModules));

export const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((each, index) => each === b[index]));
