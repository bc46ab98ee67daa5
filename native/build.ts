/**
 * `make native`: the native operator for this machine, unless it is newer than its sources. Without a compiler it says so and
 * ends well: adapters then take the portable way. `--check` (`make native-check`) checks the kernels and builds nothing else.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { buildOperator, operatorPath, operatorSources } from './build-operator.ts';
import { checkedBuilds, checkKernels, wantedCases } from './check-kernels.ts';
import { ownCompiler } from './own-compiler.ts';

const say = (line: string): void => void process.stdout.write(`==> ${line}\n`);
const portable = 'adapters take the portable way, one adapter a step (README, "The native operator")';

const timeOf = async (path: string): Promise<number> =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );

const isCurrent = async (out: string): Promise<boolean> => {
  const names = await readdir(operatorSources);
  const sources = names.filter((name) => /\.[ch]$/.test(name) || name === 'build-operator.ts');
  const times = await Promise.all(sources.map((name) => timeOf(join(operatorSources, name))));
  return (await timeOf(out)) > Math.max(...times);
};

const own = await ownCompiler();
if ('lacks' in own) {
  const { lacks } = own;
  say(`no native operator: ${lacks}; ${portable}`);
} else if (process.argv.includes('--check')) {
  const wanted = wantedCases();
  for (const build of checkedBuilds)
    say(`${build}: ${await checkKernels({ compiler: own.compiler, build, wanted })}`);
} else {
  const path = operatorPath(own.compiler.architecture);
  const out = join(operatorSources, '..', path);
  if (await isCurrent(out)) say(`the native operator is built: ${path}`);
  else {
    await buildOperator({ compiler: own.compiler, out });
    say(`built the native operator with ${own.name}: ${path}`);
  }
}
