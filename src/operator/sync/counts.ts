/** What the streams of a replica counted since its start. */
export type SyncCounts = {
  /** Streams that were accepted, and that ended with an error before. */
  accepted: number;
  refused: number;
  /** Streams that a newer one of the same runtime ended. */
  replaced: number;
  commits: number;
  puts: number;
  removes: number;
  /** Bytes of the bodies of resources. */
  bytes: number;
  acknowledged: number;
  /** Resources that runtimes did not take. */
  refusals: number;
  /** Commits, and questions for what is held, that were not answered in time. */
  unanswered: number;
  reports: number;
  /** Runtimes that were asked for the list of what they hold. */
  listsWanted: number;
  /** Parts that first reports left out, as they are like those of another runtime. */
  likeParts: number;
};

export const noCounts = (): SyncCounts => ({
  accepted: 0,
  refused: 0,
  replaced: 0,
  commits: 0,
  puts: 0,
  removes: 0,
  bytes: 0,
  acknowledged: 0,
  refusals: 0,
  unanswered: 0,
  reports: 0,
  listsWanted: 0,
  likeParts: 0,
});
