import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const module = join(import.meta.dirname, 'kube-config.ts');

/** Says what is loaded by a process that evaluates `more` behind it. */
const told = (more = ''): { readonly loaded: readonly string[]; readonly said: unknown } => {
  const script = `import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) });
    const { KubeConfig } = await import(${JSON.stringify(module)});
    let said = new KubeConfig().clusters;
    ${more}
    console.log(JSON.stringify({ loaded, said }));`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8' }));
};

describe('the way to a cluster', () => {
  it('is read without the generated client of every API', () => {
    const { loaded } = told();
    expect(loaded.some((url) => url.endsWith('/client-node/dist/config.js'))).toBe(true);
    expect(loaded.filter((url) => /client-node\/dist\/(api|gen\/(apis|models|types))/.test(url))).toEqual([]);
  });

  it('leaves the library whole for others who import it', () => {
    const { said } = told(`
      const { CoreV1Api, KubeConfig: Whole } = await import('@kubernetes/client-node');
      const config = new KubeConfig();
      config.loadFromClusterAndUser({ name: 'c', server: 'http://127.0.0.1:1' }, { name: 'u' });
      said = [Whole === KubeConfig, config.makeApiClient(CoreV1Api).constructor.name];`);
    expect(said).toEqual([true, 'ObjectCoreV1Api']);
  });
});
