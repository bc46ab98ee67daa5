import type { PolicyLimits } from '../../../api/policy.ts';
import { parseQuantity } from '../../../api/quantity.ts';
import { policyOf, type RoutingTable } from '../../routing/table.ts';

/** What is sure and what is never passed; an amount that is not limited is Infinity. */
export type Share = { readonly guarantee: number; readonly limit: number };

/** What of a node is shared out between namespaces. */
export const sharedAmounts = ['requests', 'adapterMemory'] as const;
export type SharedAmount = (typeof sharedAmounts)[number];

export type NamespaceShares = Readonly<Record<SharedAmount, Share>> & {
  readonly tokensPerMinute: number;
  readonly kvLimitBytes: number;
};

/** What the node has of each. */
export type NodeBudgets = Readonly<Record<SharedAmount, number>>;

/** More is guaranteed than the node has: all are scaled down to it. */
export type Overcommitment = {
  readonly amount: SharedAmount;
  readonly guaranteed: number;
  readonly budget: number;
};

/** For people: what of the policies of these namespaces is not kept; none where it all is. */
export const unkeptText = (namespaces: readonly string[]): readonly string[] =>
  namespaces.length === 0
    ? []
    : [
        `limits.adapterDisk, and what limits.kvMemory guarantees, are not kept by this version: policies of ${namespaces.join(', ')}`,
      ];

/** For people. */
export const overcommitmentText = ({ amount, guaranteed, budget }: Overcommitment): string =>
  `policies guarantee ${guaranteed} ${wordsOf[amount]}, this node has ${budget}: each guarantee counts ${Math.floor((100 * budget) / guaranteed)} % of it`;

const wordsOf: Readonly<Record<SharedAmount, string>> = {
  requests: 'requests at a time',
  adapterMemory: 'bytes of RAM of adapters',
};

export type Shares = {
  of(namespace: string): NamespaceShares;
  /** Namespaces that have limits or guarantees. */
  readonly namespaces: readonly string[];
  readonly overcommitted: readonly Overcommitment[];
  /** Namespaces whose policies ask for what no runtime keeps yet. */
  readonly unkept: readonly string[];
};

const limitedOf = ({ requests, adapterMemory }: PolicyLimits): Readonly<Record<SharedAmount, Share>> => ({
  requests: { guarantee: requests?.guarantee ?? 0, limit: requests?.limit ?? Infinity },
  adapterMemory: {
    guarantee: adapterMemory?.guarantee === undefined ? 0 : parseQuantity(adapterMemory.guarantee),
    limit: adapterMemory?.limit === undefined ? Infinity : parseQuantity(adapterMemory.limit),
  },
});

/** Nothing is guaranteed beyond a limit. */
const scaled = ({ guarantee, limit }: Share, factor: number): Share => ({
  guarantee: Math.min(Math.floor(guarantee * factor), limit),
  limit,
});

/**
 * What the policies of a plan mean on a node. The default policy holds for each namespace that has none by itself, not for all of them
 * together; its guarantees, for those that have objects here.
 */
export const sharesOf = (table: RoutingTable, budgets: NodeBudgets): Shares => {
  const here = [...new Set([...table.policies.keys(), ...table.namespaces.keys()])];
  const limits = new Map(here.map((namespace) => [namespace, policyOf(table, namespace)?.limits ?? {}]));
  const sum = (amount: SharedAmount): number =>
    [...limits.values()].reduce((all, one) => all + limitedOf(one)[amount].guarantee, 0);
  const guaranteed = { requests: sum('requests'), adapterMemory: sum('adapterMemory') };
  const factorOf = (amount: SharedAmount): number =>
    guaranteed[amount] > budgets[amount] ? budgets[amount] / guaranteed[amount] : 1;
  const factors = { requests: factorOf('requests'), adapterMemory: factorOf('adapterMemory') };

  const known = new Map<string, NamespaceShares>();
  const compute = (namespace: string): NamespaceShares => {
    const own = limits.get(namespace);
    const all = own ?? policyOf(table, namespace)?.limits ?? {};
    const { requests, adapterMemory } = limitedOf(all);
    const isHere = own === undefined ? 0 : 1;
    return {
      requests: scaled(requests, isHere * factors.requests),
      adapterMemory: scaled(adapterMemory, isHere * factors.adapterMemory),
      tokensPerMinute: all.tokensPerMinute ?? Infinity,
      kvLimitBytes: all.kvMemory?.limit === undefined ? Infinity : parseQuantity(all.kvMemory.limit),
    };
  };
  return {
    of: (namespace) => {
      const shares = known.get(namespace) ?? compute(namespace);
      // Names of namespaces that have nothing here come from callers: they are not remembered.
      if (limits.has(namespace)) known.set(namespace, shares);
      return shares;
    },
    namespaces: here.filter((namespace) => Object.keys(limits.get(namespace) ?? {}).length > 0),
    unkept: here.filter((namespace) => {
      const { adapterDisk, kvMemory } = limits.get(namespace) ?? {};
      return adapterDisk !== undefined || kvMemory?.guarantee !== undefined;
    }),
    overcommitted: sharedAmounts
      .filter((amount) => factors[amount] < 1)
      .map((amount) => ({ amount, guaranteed: guaranteed[amount], budget: budgets[amount] })),
  };
};
