import { AdaptletError, errorCodeOf } from '../../../errors/adaptlet-error.ts';
import type { Log } from '../../../telemetry/log.ts';
import type { Clock } from '../../../time/clock.ts';
import type { GenerateInput } from '../../engine/engine.ts';
import { CompletionRate, retryAfterMs } from '../../engine/schedule/completion-rate.ts';
import type { RoutingTable } from '../../routing/table.ts';
import { RoutingTime } from './routing-time.ts';
import {
  type NodeBudgets,
  type Overcommitment,
  overcommitmentText,
  type Share,
  type SharedAmount,
  type Shares,
  sharesOf,
} from './shares.ts';
import { TokenBudget } from './token-budget.ts';

export type QuotasParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** What this node has now; of keys and values Infinity while that is not known. */
  readonly budgets: () => NodeBudgets;
  readonly logger: Pick<Log, 'warn'>;
  /** Requests that the engine runs or has in its queue at most. Absent: any number. */
  readonly places?: number;
  /**
   * Asked about each request that its namespace may have; `isGuaranteed`: it is sure to. Default: the node takes all.
   * @throws MEMORY_PRESSURE
   */
  readonly admit?: (isGuaranteed: boolean) => void;
  /** Called when a limit refused something. */
  readonly onRefused?: () => void;
};

/** A request that counts for its namespace until it is disposed of. */
export type OpenRequest = Disposable & {
  /** What the engine has to know of the limits of the namespace. */
  readonly forEngine: { readonly guaranteed: number } & Pick<
    GenerateInput,
    'kvLimitBytes' | 'kvGuaranteedBytes'
  >;
  /** Tokens that were computed for it, weighted. */
  used(tokens: number): void;
};

/** One limit of a namespace, and what was refused by it since this process began. */
export type QuotaView = {
  readonly namespace: string;
  readonly limit: LimitName;
  /** Now; of tokens: of the last minute, about. Undefined where the engine alone knows. */
  readonly used: number | undefined;
  readonly guaranteed: number;
  /** Infinity: none. */
  readonly most: number;
  readonly refused: number;
};

/** As they are called in limits of an AdapterPolicy. */
export type LimitName = SharedAmount | 'tokensPerMinute';

/** What a namespace has, in bytes. */
export type BytesUsed = Readonly<Record<'adapterMemory' | 'adapterDisk', (namespace: string) => number>>;

const limitOf = {
  NAMESPACE_REQUESTS: 'requests',
  NAMESPACE_TOKENS: 'tokensPerMinute',
  NAMESPACE_ADAPTER_MEMORY: 'adapterMemory',
  NAMESPACE_ADAPTER_DISK: 'adapterDisk',
  NAMESPACE_KV_MEMORY: 'kvMemory',
} as const;
const isOfLimit = (code: string): code is keyof typeof limitOf => code in limitOf;

class Usage {
  open = 0;
  readonly completions: CompletionRate;
  tokens: TokenBudget | undefined;
  readonly refused = new Map<LimitName, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.completions = new CompletionRate(clock);
  }
}

/** Namespaces that have neither a policy nor anything open, and are remembered for what was refused. */
const maxIdle = 256;

/**
 * What namespaces use of this node, and what the policies of the plan in force allow.
 *
 * Guarantees: a plan that lowers a limit ends nothing that is open; who has more than the limit is refused until it has less.
 * What was used counts on.
 */
export class Quotas {
  readonly routing: RoutingTime;
  readonly #parts: QuotasParts;
  readonly #usages = new Map<string, Usage>();
  #table: RoutingTable | undefined;
  #shares: Shares | undefined;

  constructor(parts: QuotasParts) {
    this.#parts = parts;
    this.routing = new RoutingTime(parts);
  }

  get overcommitted(): readonly Overcommitment[] {
    return this.#shares?.overcommitted ?? [];
  }

  /** Sentences for people: what policies ask for and do not get here. */
  get notKept(): readonly string[] {
    return this.overcommitted.map(overcommitmentText);
  }

  /** The table of the plan in force. */
  follow(table: RoutingTable): void {
    this.#table = table;
    const before = JSON.stringify(this.overcommitted);
    this.#shares = sharesOf(table, this.#parts.budgets());
    for (const [namespace, usage] of this.#usages) this.#setTokens(namespace, usage);
    if (this.overcommitted.length === 0 || JSON.stringify(this.overcommitted) === before) return;
    this.#parts.logger.warn(
      { overcommitted: this.overcommitted },
      'policies guarantee more than this node has; all guarantees are scaled down in proportion',
    );
  }

  /** The node has more or less than before. */
  budgetsChanged(): void {
    if (this.#table !== undefined) this.follow(this.#table);
  }

  shareOf(namespace: string, amount: SharedAmount): Share {
    return this.#shares?.of(namespace)[amount] ?? { guarantee: 0, limit: Infinity };
  }

  /** What all namespaces together are sure to have. */
  guaranteed(amount: SharedAmount): number {
    const shares = this.#shares;
    return (shares?.namespaces ?? []).reduce((sum, one) => sum + (shares?.of(one)[amount].guarantee ?? 0), 0);
  }

  /**
   * A request comes, for so many answers: it counts as that many until it is disposed of.
   * @throws NAMESPACE_REQUESTS, NAMESPACE_TOKENS, MEMORY_PRESSURE; REQUEST_INVALID for more answers than the namespace or the node may
   * have at a time: no retry helps
   */
  enter(namespace: string, answers = 1): OpenRequest {
    const usage = this.#usageOf(namespace);
    const { guarantee, limit } = this.shareOf(namespace, 'requests');
    const { places = Infinity } = this.#parts;
    if (answers > 1 && answers > Math.min(limit, places)) {
      const most =
        limit < places
          ? `namespace ${namespace} may have ${limit} requests open here`
          : `this node runs or keeps waiting ${places} requests at most`;
      throw new AdaptletError(
        'REQUEST_INVALID',
        `${answers} answers are asked for, and ${most}; each counts as one`,
      );
    }
    if (usage.open + answers - 1 >= limit) {
      const more = answers === 1 ? '' : `; ${answers} answers count as ${answers}`;
      throw this.#refuse(namespace, 'NAMESPACE_REQUESTS', {
        what: `namespace ${namespace} has ${usage.open} requests open here, and may have ${limit}${more}`,
        retryAfterMs: retryAfterMs(usage.open + answers - limit, usage.completions.perSecond),
      });
    }
    const { tokens } = usage;
    const waitMs = tokens?.waitMs ?? 0;
    if (tokens !== undefined && waitMs > 0) {
      throw this.#refuse(namespace, 'NAMESPACE_TOKENS', {
        what: `namespace ${namespace} may use ${tokens.perMinute} tokens a minute here, and used ${Math.ceil(tokens.perMinute - tokens.level)} beyond what came back since`,
        retryAfterMs: waitMs,
      });
    }
    this.#parts.admit?.(usage.open + answers - 1 < guarantee);
    const kv = this.shareOf(namespace, 'kvMemory');
    usage.open += answers;
    let isOpen = true;
    return {
      forEngine: {
        guaranteed: guarantee,
        ...(kv.limit === Infinity ? {} : { kvLimitBytes: kv.limit }),
        ...(kv.guarantee === 0 ? {} : { kvGuaranteedBytes: kv.guarantee }),
      },
      used: (amount) => usage.tokens?.take(amount),
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        usage.open -= answers;
        for (let i = 0; i < answers; i++) usage.completions.count();
        this.#forget();
      },
    };
  }

  /** A request of the namespace failed: counts it when a limit was why. */
  failed(namespace: string, error: unknown): void {
    const code = errorCodeOf(error);
    if (isOfLimit(code)) this.#count(namespace, limitOf[code]);
  }

  /** Limits of namespaces of the plan that refused requests since this process began, and how many. */
  refused(): readonly Pick<QuotaView, 'namespace' | 'limit' | 'refused'>[] {
    return (this.#shares?.namespaces ?? []).flatMap((namespace) =>
      [...(this.#usages.get(namespace)?.refused ?? [])].map(([limit, refused]) => ({
        namespace,
        limit,
        refused,
      })),
    );
  }

  /** Of the namespaces that have limits or guarantees. */
  views(bytes: BytesUsed): readonly QuotaView[] {
    const shares = this.#shares;
    if (shares === undefined) return [];
    return shares.namespaces.flatMap((namespace) => {
      const { requests, adapterMemory, adapterDisk, kvMemory, tokensPerMinute } = shares.of(namespace);
      const usage = this.#usages.get(namespace);
      const refused = (limit: LimitName): number => usage?.refused.get(limit) ?? 0;
      const view = (limit: LimitName, used: number | undefined, share: Share): QuotaView => ({
        namespace,
        limit,
        used,
        guaranteed: share.guarantee,
        most: share.limit,
        refused: refused(limit),
      });
      const tokens = usage?.tokens;
      const usedTokens = tokens === undefined ? 0 : Math.max(0, tokens.perMinute - tokens.level);
      return [
        view('requests', usage?.open ?? 0, requests),
        view('tokensPerMinute', usedTokens, { guarantee: 0, limit: tokensPerMinute }),
        view('adapterMemory', bytes.adapterMemory(namespace), adapterMemory),
        view('adapterDisk', bytes.adapterDisk(namespace), adapterDisk),
        view('kvMemory', undefined, kvMemory),
      ].filter(({ guaranteed, most }) => guaranteed > 0 || most < Infinity);
    });
  }

  #refuse(
    namespace: string,
    code: keyof typeof limitOf,
    { what, retryAfterMs: afterMs }: { readonly what: string; readonly retryAfterMs: number },
  ): AdaptletError {
    this.#count(namespace, limitOf[code]);
    return new AdaptletError(code, what, { retryAfterMs: afterMs });
  }

  #count(namespace: string, limit: LimitName): void {
    const { refused } = this.#usageOf(namespace);
    refused.set(limit, (refused.get(limit) ?? 0) + 1);
    this.#parts.onRefused?.();
  }

  #usageOf(namespace: string): Usage {
    const known = this.#usages.get(namespace);
    if (known !== undefined) return known;
    const usage = new Usage(this.#parts.clock);
    this.#usages.set(namespace, usage);
    this.#setTokens(namespace, usage);
    return usage;
  }

  #setTokens(namespace: string, usage: Usage): void {
    const perMinute = this.#shares?.of(namespace).tokensPerMinute ?? Infinity;
    if (perMinute === Infinity) usage.tokens = undefined;
    else if (usage.tokens === undefined) usage.tokens = new TokenBudget(this.#parts.clock, perMinute);
    else if (usage.tokens.perMinute !== perMinute) usage.tokens.perMinute = perMinute;
  }

  /** What was used and refused is kept of those with limits: it would else begin anew. */
  #forget(): void {
    if (this.#usages.size <= maxIdle) return;
    const withPolicy = new Set(this.#shares?.namespaces);
    for (const [namespace, { open, tokens }] of this.#usages) {
      if (this.#usages.size <= maxIdle) return;
      if (open === 0 && tokens === undefined && !withPolicy.has(namespace)) this.#usages.delete(namespace);
    }
  }
}
