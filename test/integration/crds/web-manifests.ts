import { bad, type Fields, good, manifest, type Row } from './manifests.ts';

const adapter = (fields: Fields) => manifest('Adapter', { baseModel: 'tiny', ...fields });

/** Adapters of web servers and hubs. */
export const webRows: readonly Row[] = [
  good(
    'an archive of a web server',
    adapter({
      source: {
        http: {
          url: 'https://files.example:8443/team-a/a%20b.tgz?x=1',
          sha256: 'a'.repeat(64),
          header: { name: 'PRIVATE-TOKEN', secretKeyRef: { name: 'files', key: 'token' } },
        },
      },
    }),
  ),
  good(
    'a repository of a hub',
    adapter({
      source: {
        huggingFace: {
          repo: 'team-a/sql.lora_v2',
          revision: 'c'.repeat(40),
          subfolder: 'out/final',
          tokenSecretKeyRef: { name: 'hub', key: 'token' },
        },
      },
    }),
  ),
  bad(
    'an archive of which nobody says what it is',
    adapter({ source: { http: { url: 'https://files.example/a.rar', sha256: 'a'.repeat(64) } } }),
    'spec.source.http: Invalid value: "object": archive must be one of tar, tar.gz, tar.zst, zip: the path of the address does not end in .tar, .tar.gz, .tgz, .tar.zst or .zip',
  ),
  bad(
    'an address with a port that there is not',
    adapter({ source: { http: { url: 'https://files.example:port/a.tar', sha256: 'a'.repeat(64) } } }),
    'spec.source.http.url: Invalid value: "string": must be scheme, host and path, without spaces',
  ),
  bad(
    'a header that says something else than who asks',
    adapter({
      source: {
        http: {
          url: 'https://files.example/a.tar',
          sha256: 'a'.repeat(64),
          header: { name: 'Range', secretKeyRef: { name: 'files', key: 'token' } },
        },
      },
    }),
    'spec.source.http.header.name: Invalid value: "string": must be Authorization, or begin with X-',
  ),
  bad(
    'a branch of a hub',
    adapter({ source: { huggingFace: { repo: 'a/b', revision: 'main' } } }),
    'spec.source.huggingFace.revision: Invalid value: "string": must be a commit, 40 lower-case hexadecimal digits',
  ),
];
