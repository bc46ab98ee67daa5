import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { newKey } from '../../../src/cli/key.ts';
import { moon } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';
import { patience, type Site } from './site.ts';

/**
 * Registers what becomes of the AdapterPolicy of a namespace, from `kubectl apply` to the node that answers, as tests. The
 * namespace has the Adapter `upper`.
 */
export const policiesAreFollowed = (
  asking: () => { readonly site: Site; readonly url: string; readonly editor: string },
): void => {
  const key = newKey('app');
  const clients = { apiKeys: [{ name: 'app', sha256: key.sha256 }] };
  const policyOf = (spec: object): string =>
    stringify({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterPolicy',
      metadata: { name: 'default', namespace: asking().site.namespace },
      spec,
    });
  const apply = (spec: object) => asking().site.apply(policyOf(spec));
  const kubectl = (...args: readonly string[]) =>
    asking().site.lab.kubectlOk(['-n', asking().site.namespace, ...args]);

  /** What the node says to a request: the text of its answer, or the code of its refusal. */
  const says = async (model = 'upper', credential: string = key.key): Promise<string> => {
    const response = await fetch(`${asking().url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${credential}` },
      body: JSON.stringify({ model, prompt: 'moon:', temperature: 0 }),
    });
    if (!response.ok) return response.headers.get('x-adaptlet-error') ?? `${response.status}`;
    const { choices } = (await response.json()) as { choices: { text: string }[] };
    return choices[0]?.text ?? '';
  };
  const isSaid = (what: string, model = 'upper', credential: string = key.key): Promise<unknown> =>
    waitFor(
      `${what} of ${model}`,
      async () => {
        const said = await says(model, credential);
        if (said !== what) throw new Error(said);
        return true;
      },
      patience,
    );

  it('stays as it was valid last when it becomes invalid, which an event on it tells', async () => {
    // The first leader of an install waits until a Lease that it does not see has run out.
    await waitFor('the leader', () => asking().site.digestOf('upper'), patience);
    await apply({ clients, base: 'Deny' });
    await isSaid('BASE_NOT_ALLOWED', 'tiny');
    await isSaid(moon.upper);
    // The API server does not know how large an amount may be.
    await apply({ limits: { adapterMemory: { limit: '9000Pi' } } });
    const event = await waitFor(
      'the event',
      async () => {
        const found = await kubectl('get', 'events', '--field-selector=reason=InvalidSpec', '-o', 'json');
        type Event = { readonly involvedObject: { readonly kind: string }; readonly message: string };
        return (JSON.parse(found) as { items: Event[] }).items.find(
          ({ involvedObject }) => involvedObject.kind === 'AdapterPolicy',
        );
      },
      patience,
    );
    expect(event.message).toMatch(
      /^spec\.limits\.adapterMemory\.limit: .*what was valid last stays in force$/,
    );
    expect(await kubectl('describe', 'apol', 'default')).toContain('InvalidSpec');
    expect(await says()).toBe(moon.upper);
    expect(await says('tiny')).toBe('BASE_NOT_ALLOWED');
    await apply({ clients });
    await isSaid(moon.base, 'tiny');
  });

  it('is read by editors of the namespace, and written by none of them', async () => {
    const { site, editor } = asking();
    const asEditor = (args: readonly string[], stdin = '') =>
      site.lab.kubectlWith({ kubeconfig: editor, stdin }, '-n', site.namespace, ...args);
    expect(await asEditor(['describe', 'apol', 'default'])).toMatchObject({ code: 0 });
    const free = policyOf({ clients: { anonymous: 'Allow' } });
    for (const [args, stdin] of [
      [['apply', '-f', '-'], free],
      [['replace', '-f', '-'], free],
      [['delete', 'apol', 'default'], ''],
    ] as const) {
      const { code, stderr } = await asEditor(args, stdin);
      expect({ args, code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('(Forbidden)'),
      });
    }
    await kubectl('delete', 'apol', 'default');
    const made = await asEditor(['create', '-f', '-'], free);
    expect(made).toMatchObject({ code: 1, stderr: expect.stringContaining('(Forbidden)') });
  });

  it('is in force at the node when it is applied, changed and deleted', async () => {
    const { site } = asking();
    await isSaid('UNAUTHENTICATED');
    await apply({ clients });
    await isSaid(moon.upper);
    // Who may ask.
    const other = newKey('app');
    await apply({ clients: { apiKeys: [{ name: 'app', sha256: other.sha256 }] } });
    await isSaid('UNAUTHENTICATED');
    await isSaid(moon.upper, 'upper', other.key);
    // Where adapters may come from.
    await apply({ clients, sources: { registries: ['registry.example/team-a'] } });
    await isSaid('MODEL_NOT_FOUND');
    await apply({ clients, sources: { registries: [`${site.lab.registry.host}/adapters`] } });
    await isSaid(moon.upper);
    // How much.
    await apply({ clients, limits: { tokensPerMinute: 0 } });
    await isSaid('NAMESPACE_TOKENS');
    await apply({ clients, base: 'Deny' });
    await isSaid(moon.upper);
    await isSaid('BASE_NOT_ALLOWED', 'tiny');
    await kubectl('delete', 'apol', 'default');
    await isSaid('UNAUTHENTICATED');
    await kubectl('delete', 'adapter', 'upper');
  });
};
