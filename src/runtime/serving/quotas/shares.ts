import type { PolicyLimits } from '../../../api/policy.ts';
import { parseQuantity } from '../../../api/quantity.ts';
import { policyOf, type RoutingTable } from '../../routing/table.ts';

/** What is sure and what is never passed; an amount that is not limited is Infinity. */
export type Share = { readonly guarantee: number; readonly limit: number };

/** What of a node is shared out between namespaces. */
export const sharedAmounts = ['requests', 'adapterMemory', 'adapterDisk', 'kvMemory'] as const;
export type SharedAmount = (typeof sharedAmounts)[number];

export type NamespaceShares = Readonly<Record<SharedAmount, Share>> & {
  readonly tokensPerMinute: number;
};

/** What the node has of each. */
export type NodeBudgets = Readonly<Record<SharedAmount, number>>;

/** More is guaranteed than the node has: all are scaled down to it. */
export type Overcommitment = {
  readonly amount: SharedAmount;
  readonly guaranteed: number;
  readonly budget: number;
};

/** For people. */
export const overcommitmentText = ({ amount, guaranteed, budget }: Overcommitment): string =>
  `policies guarantee ${guaranteed} ${wordsOf[amount]}, this node has ${budget}: each guarantee counts ${Math.floor((100 * budget) / guaranteed)} % of it`;

const wordsOf: Readonly<Record<SharedAmount, string>> = {
  requests: 'requests at a time',
  adapterMemory: 'bytes of RAM of adapters',
  adapterDisk: 'bytes of disk of adapters',
  kvMemory: 'bytes of keys and values',
};

export type Shares = {
  of(namespace: string): NamespaceShares;
  /** Namespaces that have limits or guarantees. */
  readonly namespaces: readonly string[];
  readonly overcommitted: readonly Overcommitment[];
};

const bytesOf = (share: { guarantee?: string | undefined; limit?: string | undefined } = {}): Share => ({
  guarantee: share.guarantee === undefined ? 0 : parseQuantity(share.guarantee),
  limit: share.limit === undefined ? Infinity : parseQuantity(share.limit),
});

const limitedOf = (limits: PolicyLimits): Readonly<Record<SharedAmount, Share>> => ({
  requests: { guarantee: limits.requests?.guarantee ?? 0, limit: limits.requests?.limit ?? Infinity },
  adapterMemory: bytesOf(limits.adapterMemory),
  adapterDisk: bytesOf(limits.adapterDisk),
  kvMemory: bytesOf(limits.kvMemory),
});

/** Nothing is guaranteed beyond a limit. */
const scaled = ({ guarantee, limit }: Share, factor: number): Share => ({
  guarantee: Math.min(Math.floor(guarantee * factor), limit),
  limit,
});

const forEach = <T>(of: (amount: SharedAmount) => T): Readonly<Record<SharedAmount, T>> => ({
  requests: of('requests'),
  adapterMemory: of('adapterMemory'),
  adapterDisk: of('adapterDisk'),
  kvMemory: of('kvMemory'),
});

/**
 * What the policies of a plan mean on a node. The default policy holds for each namespace that has none by itself, not for all of them
 * together; its guarantees, for those that have objects here.
 */
export const sharesOf = (table: RoutingTable, budgets: NodeBudgets): Shares => {
  const here = [...new Set([...table.policies.keys(), ...table.namespaces.keys()])];
  const limits = new Map(here.map((namespace) => [namespace, policyOf(table, namespace)?.limits ?? {}]));
  const guaranteed = forEach((amount) =>
    [...limits.values()].reduce((all, one) => all + limitedOf(one)[amount].guarantee, 0),
  );
  const factors = forEach((amount) =>
    guaranteed[amount] > budgets[amount] ? budgets[amount] / guaranteed[amount] : 1,
  );

  const known = new Map<string, NamespaceShares>();
  const compute = (namespace: string): NamespaceShares => {
    const own = limits.get(namespace);
    const all = own ?? policyOf(table, namespace)?.limits ?? {};
    const limited = limitedOf(all);
    const isHere = own === undefined ? 0 : 1;
    return {
      ...forEach((amount) => scaled(limited[amount], isHere * factors[amount])),
      tokensPerMinute: all.tokensPerMinute ?? Infinity,
    };
  };
  let last: { readonly namespace: string; readonly shares: NamespaceShares } | undefined;
  return {
    of: (namespace) => {
      if (last?.namespace === namespace) return last.shares;
      const shares = known.get(namespace) ?? compute(namespace);
      // Names of namespaces that have nothing here come from callers: none but the last one is remembered.
      if (limits.has(namespace)) known.set(namespace, shares);
      last = { namespace, shares };
      return shares;
    },
    namespaces: here.filter((namespace) => Object.keys(limits.get(namespace) ?? {}).length > 0),
    overcommitted: sharedAmounts
      .filter((amount) => factors[amount] < 1)
      .map((amount) => ({ amount, guaranteed: guaranteed[amount], budget: budgets[amount] })),
  };
};
