import { rename, stat } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { removeAll } from '../disk/durable.ts';
import { AdaptletError, errorCodeOf } from '../errors/adaptlet-error.ts';
import { errnoOf, isDiskFull } from '../errors/errno.ts';
import type { Clock } from '../time/clock.ts';
import { pause } from '../time/pause.ts';
import type { WriteBlob } from './blob-pool.ts';
import type { DiskThread } from './disk-thread.ts';
import type { Descriptor } from './manifest.ts';
import type { PeerDesk, Want } from './peer-desk.ts';
import { HeardPeers } from './peer-heard.ts';
import {
  type FindPeers,
  type Peer,
  PeerBusy,
  type PeerQuestion,
  type PeerSite,
  peerOrder,
} from './peer-site.ts';
import { type Patience, stepOf } from './peer-step.ts';
import { watchOver } from './stall-watch.ts';
import type { ContentStore } from './store.ts';
import { downloadTo } from './transfer.ts';

/** Milliseconds. */
export type PeerTimes = Patience & {
  /** For one answer about a blob. */
  readonly lookMs: number;
  /** Between two looks: the first one, and the longest. */
  readonly pauseMs: number;
  readonly longestPauseMs: number;
  /** Without 64 KiB more of a blob, after which another runtime is asked. */
  readonly dripMs: number;
  /** For which those who have a blob may be busy, while no others get it. */
  readonly busyMs: number;
  /** For a blob, whatever others say of it; then its source is asked. */
  readonly longestMs: number;
  /** For which who cannot be reached, or breaks off, is left alone. */
  readonly awayMs: number;
  /** For which who sent other bytes than those of the digest is left alone. */
  readonly liarMs: number;
};

export const peerTimes: PeerTimes = {
  lookMs: 5_000,
  pauseMs: 100,
  longestPauseMs: 2_000,
  stallMs: 20_000,
  wantedMs: 10_000,
  aloneMs: 300_000,
  dripMs: 10_000,
  busyMs: 600_000,
  longestMs: 3_600_000,
  awayMs: 30_000,
  liarMs: 600_000,
};

/** What became of a blob that might have come from the site. */
export type PeerOutcome =
  | { readonly result: 'peer'; readonly blob: Digest; readonly bytes: number; readonly from: string }
  /** It came over the uplink. */
  | { readonly result: 'source'; readonly blob: Digest; readonly bytes: number }
  /** A runtime was set aside. */
  | {
      readonly result: 'away' | 'liar';
      readonly blob: Digest;
      readonly from: string;
      readonly error?: unknown;
    };

export type PeerBlobsParts = {
  readonly find: FindPeers;
  readonly desk: PeerDesk;
  readonly store: Pick<ContentStore, 'scratch'>;
  readonly disk: Pick<DiskThread, 'hash'>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onOutcome: (outcome: PeerOutcome) => void;
  readonly times?: Partial<PeerTimes>;
};

/** A fetch, and who hears how far it is. */
export type PeerErrand = PeerQuestion & {
  readonly signal: AbortSignal;
  readonly onBytes: (blob: Digest, bytes: number) => void;
};

/** Runtimes that are asked about a blob as long as one of them has it, fetches it or wants it; else all are. */
const mostLooked = 8;
/** Runtimes that have a blob and are asked for it in one round. */
const mostAsked = 4;

/**
 * Blobs from the runtimes of the site where one has them, else from the source, by one or two of them while the others wait.
 *
 * Guarantees: what comes from a runtime has the digest that was asked for, or is thrown away; whatever runtimes say or do, the blob is
 * asked for from its source in the end; a runtime that lies costs the bytes of one blob in `liarMs`.
 */
export class PeerBlobs {
  readonly #parts: PeerBlobsParts;
  readonly #times: PeerTimes;
  /** Monotonic time until which a runtime is not asked. */
  readonly #aside = new Map<string, number>();

  constructor(parts: PeerBlobsParts) {
    this.#parts = parts;
    this.#times = { ...peerTimes, ...parts.times };
  }

  /** For one artifact. Dispose it when that is granted, or has failed. */
  fetch(errand: PeerErrand): PeerFetch {
    return new PeerFetch(this, errand, this.#parts, this.#times);
  }

  isAside(name: string): boolean {
    const until = this.#aside.get(name);
    if (until === undefined) return false;
    if (this.#parts.clock.monotonic() < until) return true;
    this.#aside.delete(name);
    return false;
  }

  setAside(name: string, blob: Digest, result: 'away' | 'liar', error?: unknown): void {
    const ms = result === 'liar' ? this.#times.liarMs : this.#times.awayMs;
    this.#aside.set(name, this.#parts.clock.monotonic() + ms);
    this.#parts.onOutcome({ result, blob, from: name, error });
  }
}

/** The blobs of one artifact, as {@link PeerBlobs} bring them. */
export class PeerFetch implements AsyncDisposable {
  readonly #all: PeerBlobs;
  readonly #errand: PeerErrand;
  readonly #parts: PeerBlobsParts;
  readonly #times: PeerTimes;
  readonly #wants = new Map<Digest, Want>();
  #site: Promise<PeerSite | undefined> | undefined;

  constructor(all: PeerBlobs, errand: PeerErrand, parts: PeerBlobsParts, times: PeerTimes) {
    this.#all = all;
    this.#errand = errand;
    this.#parts = parts;
    this.#times = times;
  }

  /** Writes a blob, and only as a last resort by `write`. */
  writer(write: WriteBlob): WriteBlob {
    return async (blob, path, have) => {
      await this.#bring(blob, have, {
        fetch: () => write(blob, path, have),
        take: (file) => rename(file, path),
      });
    };
  }

  /** The digest of a blob as its source sends it: known once a runtime has sent it that has it from there. */
  hasher(hash: (blob: Descriptor) => Promise<Digest>): (blob: Descriptor) => Promise<Digest> {
    return (blob) =>
      this.#bring(blob, blob.size, { fetch: () => hash(blob), take: () => Promise.resolve(blob.digest) });
  }

  /** How far the source is. */
  progressed(blob: Digest, bytes: number): void {
    this.#wants.get(blob)?.coming(bytes);
  }

  /** A blob is on the disk, and its source has sent it. */
  brought({ digest }: Pick<Descriptor, 'digest'>): void {
    this.#want(digest).brought();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const want of this.#wants.values()) want[Symbol.dispose]();
    (await this.#site?.catch(() => undefined))?.[Symbol.dispose]();
  }

  #want(blob: Digest): Want {
    const want = this.#wants.get(blob) ?? this.#parts.desk.want(this.#errand.claim, blob);
    this.#wants.set(blob, want);
    return want;
  }

  /** `extra`: bytes on the disk beside the room that the blob has. */
  async #bring<T>(
    blob: Descriptor,
    extra: number,
    ways: { readonly fetch: () => Promise<T>; readonly take: (file: string) => Promise<T> },
  ): Promise<T> {
    const { signal } = this.#errand;
    const want = this.#want(blob.digest);
    this.#site ??= this.#parts.find(this.#errand, signal);
    const site = await this.#site;
    if (site !== undefined && site.peers.length > 0) {
      try {
        await using file = this.#parts.store.scratch(extra, `blob ${blob.digest} of another runtime`);
        if (await this.#await(blob, site, want, file.path)) return await ways.take(file.path);
      } catch (error) {
        signal.throwIfAborted();
        // Where it has no room beside what came from the source, it comes from there.
        if (!isDiskFull(error) && errorCodeOf(error) !== 'STORE_FULL') throw error;
      }
    }
    want.coming(0);
    const brought = await ways.fetch();
    this.#parts.onOutcome({ result: 'source', blob: blob.digest, bytes: blob.size });
    return brought;
  }

  /** True: it is in the file. False: the source is to be asked, and others know it. */
  async #await(blob: Descriptor, site: PeerSite, want: Want, path: string): Promise<boolean> {
    const { clock } = this.#parts;
    const order = peerOrder(blob.digest, [site.self, ...site.peers.map(({ name }) => name)]);
    const ahead = new Set(order.slice(0, order.indexOf(site.self)));
    const heard = new HeardPeers(clock);
    const others = order.filter((name) => name !== site.self);
    const all = new Set(others);
    // Those who are waited for, or the first ones, or all.
    let asked: ReadonlySet<string> = new Set(others.slice(0, mostLooked));
    const begun = clock.monotonic();
    const isOver = (): boolean => clock.monotonic() - begun >= this.#times.longestMs;
    let busySince: number | undefined;
    let holders = 0;
    for (let round = 0; ; round++) {
      const peers = site.peers.filter(({ name }) => asked.has(name) && !this.#all.isAside(name));
      want.listen();
      const words = await this.#ask(peers, blob, heard);
      const now = clock.monotonic();
      const here = words.filter(({ state }) => state === 'here').length;
      // More have it than before: it goes round.
      if (here > holders) busySince = undefined;
      holders = Math.max(holders, here);
      const isTooBusy = busySince !== undefined && now - busySince >= this.#times.busyMs;
      const considered = isTooBusy ? words.filter(({ state }) => state !== 'here') : words;
      // From here to the end of the step nobody is asked, and nobody asks.
      const step = stepOf(considered, ahead, want.askers(), this.#times);
      const isPartial = asked !== all;
      asked = step.do === 'wait' ? new Set(step.on) : all;
      if (step.do === 'take') {
        const found = peers.filter(({ name }) => step.from.includes(name));
        if (await this.#take(found, blob, path, begun + this.#times.longestMs)) return true;
        busySince ??= now;
      } else if (step.do === 'wait') {
        for (const name of step.on) if (ahead.has(name)) heard.waited(name);
      }
      if ((step.do === 'fetch' && !isPartial) || isOver()) {
        want.coming(0);
        return false;
      }
      // Somebody gets on, or sends: this is no source that is silent.
      const isAlive = words.some((word) => word.state === 'coming' && word.quietMs === 0);
      if (isAlive || step.do === 'take') this.#errand.onBytes(blob.digest, 0);
      // Of those who were asked nobody goes on; the others may know more.
      if (!(isPartial && step.do === 'fetch')) await this.#pause(round);
    }
  }

  #pause(round: number): Promise<void> {
    const { clock, random } = this.#parts;
    const ms = Math.min(this.#times.longestPauseMs, this.#times.pauseMs * 1.5 ** round);
    return pause(clock, ms * (0.5 + random() / 2), this.#errand.signal);
  }

  async #ask(peers: readonly Peer[], blob: Descriptor, heard: HeardPeers) {
    const { signal } = this.#errand;
    using late = watchOver(this.#parts.clock, this.#times.lookMs, 'a look for a blob');
    const either = AbortSignal.any([signal, late.signal]);
    const asked = peers.map(async (peer) => {
      try {
        return heard.said(peer.name, await peer.look(blob.digest, either));
      } catch (error) {
        signal.throwIfAborted();
        this.#all.setAside(peer.name, blob.digest, 'away', error);
        return undefined;
      }
    });
    return (await Promise.all(asked)).filter((word) => word !== undefined);
  }

  /** From the first that sends it whole, as long as it is not `until`. Who breaks off is gone on with by the next. */
  async #take(found: readonly Peer[], blob: Descriptor, path: string, until: number): Promise<boolean> {
    const { clock, disk, random, onOutcome } = this.#parts;
    const { signal } = this.#errand;
    const over = new AbortController();
    using _ = stopping(
      clock.after(until - clock.monotonic(), () => over.abort(new Error('it takes too long'))),
    );
    const senders: string[] = [];
    const inTurn = found.map((peer) => ({ peer, at: random() })).toSorted((a, b) => a.at - b.at);
    for (const { peer } of inTurn.slice(0, mostAsked)) {
      const before = await sizeOf(path);
      try {
        await this.#download(peer, blob, path, before, over.signal);
      } catch (error) {
        signal.throwIfAborted();
        if (isDiskFull(error)) throw error;
        // Who gets on, and only takes long, is not left alone for that.
        if (over.signal.aborted) break;
        if (error instanceof PeerBusy) continue;
        const isLie = errorCodeOf(error) === 'ARTIFACT_CORRUPT';
        this.#all.setAside(peer.name, blob.digest, isLie ? 'liar' : 'away', error);
        if (isLie) await removeAll(path);
        else if ((await sizeOf(path)) > before) senders.push(peer.name);
        continue;
      }
      senders.push(peer.name);
      const made = await disk.hash(path, signal, 'blob.hash');
      if (made.digest === blob.digest && made.size === blob.size) {
        onOutcome({ result: 'peer', blob: blob.digest, bytes: blob.size, from: peer.name });
        return true;
      }
      // One of them lied. Where somebody broke off before, the last one is asked for all of it.
      const blamed = senders.length > 1 ? senders.slice(0, -1) : senders;
      for (const name of blamed) this.#all.setAside(name, blob.digest, 'liar');
      senders.length = 0;
      await removeAll(path);
    }
    // The next round begins anew: what is there came from runtimes that are set aside.
    await removeAll(path);
    return false;
  }

  async #download(
    peer: Peer,
    blob: Descriptor,
    path: string,
    have: number,
    over: AbortSignal,
  ): Promise<void> {
    const { clock, random } = this.#parts;
    const { signal, onBytes } = this.#errand;
    const what = `blob ${blob.digest} of the runtime ${peer.name}`;
    using watch = watchOver(clock, this.#times.dripMs, what);
    const either = AbortSignal.any([signal, over, watch.signal]);
    const download = {
      blob,
      what,
      host: peer.name,
      ask: (headers: Readonly<Record<string, string>>) => peer.get(blob.digest, headers, either),
      unexpected: (status: number) =>
        new AdaptletError('REGISTRY_UNAVAILABLE', `${what}: it answered ${status}`),
      signal: either,
      onBytes: (bytes: number) => {
        watch.heard();
        onBytes(blob.digest, bytes);
      },
    };
    await downloadTo(download, { path, have }, { clock, random, attempts: 1 });
  }
}

const stopping = (stop: () => void): Disposable => ({ [Symbol.dispose]: stop });

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
};
