import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache.ts';
import { goBuild, keyOf } from './go-build.ts';

/**
 * Foreign tools that tests speak to, built from pinned sources into the user's cache: two registries, oras, crane, grpcurl, cosign, the
 * conformance suite of the OCI distribution specification, and the OpenTelemetry Collector.
 * `node test/tools/build.ts` builds all of them.
 */
const packages = {
  registry: '.',
  distribution: '.',
  oras: 'oras.land/oras/cmd/oras',
  crane: 'github.com/google/go-containerregistry/cmd/crane',
  grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl',
  cosign: 'github.com/sigstore/cosign/v3/cmd/cosign',
  conformance: 'github.com/opencontainers/distribution-spec/conformance',
  otelcol: '.',
} as const;

export type ToolName = keyof typeof packages;
const toolNames = Object.keys(packages) as ToolName[];

const building = new Map<ToolName, Promise<string | undefined>>();

/** Path of a tool, built on first use. Undefined when `go` is not installed. */
export const tool = (name: ToolName): Promise<string | undefined> => {
  const known = building.get(name);
  if (known !== undefined) return known;
  const source = fileURLToPath(new URL(name, import.meta.url));
  const path = join(cacheFolder('tools'), `${name}-${keyOf(source)}`);
  const result = existsSync(path)
    ? Promise.resolve(path)
    : goBuild({ name, source, package: packages[name], isUnoptimised: name !== 'registry' }, path).then(
        (built) => (built ? path : undefined),
      );
  building.set(name, result);
  return result;
};

if (import.meta.main) {
  for (const name of toolNames) {
    const path = await tool(name);
    if (path === undefined) {
      process.stderr.write(
        'go is not installed: nothing built, the tests that need these tools are skipped\n',
      );
      process.exitCode = 1;
      break;
    }
    process.stdout.write(`${name} ${path}\n`);
  }
}
