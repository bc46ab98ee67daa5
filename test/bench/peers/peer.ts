/** When the tokens of a greedy answer came, in milliseconds from the request, and which they were. */
export type Timed = { readonly atMs: readonly number[]; readonly ids: readonly number[] };

/** A request of a lot. */
export type LotAsk = { readonly adapter: string; readonly ids: readonly number[] };

/** A running program that answers from the base model, ours or another's. One call at a time. */
export type Peer = {
  /** Of the process whose memory counts. */
  readonly pid: number;
  /** Makes a file that {@link PeerKind.adapterFile} wrote usable; milliseconds. */
  load(name: string, file: string): Promise<number>;
  unload(name: string): Promise<void>;
  /** Greedy; `adapter` null asks the base model. */
  generate(adapter: string | null, ids: readonly number[], tokens: number): Promise<Timed>;
  /** Greedy answers to prompts of one length in one batch, each with its own adapter; absent: it cannot. */
  generateTogether?(asks: readonly LotAsk[], tokens: number): Promise<readonly Timed[]>;
  close(): Promise<void>;
};

/** How a peer is made ready and started. */
export type PeerKind = {
  readonly name: string;
  /** What it is, with versions. */
  readonly what: string;
  /** Installs what it needs, once per machine. */
  install(): Promise<void>;
  /** Writes a PEFT folder in the form that the peer loads; undefined for one that has no adapters. */
  readonly adapterFile: ((peftFolder: string, out: string) => Promise<string>) | undefined;
  start(threads: number): Promise<Peer>;
  /** Numbers of threads that it is measured with; undefined: all. */
  readonly onlyThreads?: readonly number[];
};

/** Milliseconds to the first token. */
export const firstMs = ({ atMs }: Pick<Timed, 'atMs'>): number => atMs[0] ?? Number.NaN;
