import { generateKeyPairSync } from 'node:crypto';
import { bad, badForParser, type Fields, good, manifest, type Row } from './manifests.ts';

const policy = (spec: Fields, name = 'default') => manifest('AdapterPolicy', spec, { metadata: { name } });
const sources = (fields: Fields) => policy({ sources: fields });
const key = (fields: Fields = {}) => ({ name: 'app', sha256: '0'.repeat(64), ...fields });
const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  type: 'spki',
  format: 'pem',
});
const signatures = (fields: Fields) => policy({ signatures: fields });
const trustRoot = '{"certificateAuthorities": []}';
const identities = [{ name: 'ci', issuer: 'https://issuer.example', subject: 'release@example.com' }];
const keys = (...apiKeys: Fields[]) => policy({ clients: { apiKeys } });

export const policyRows: readonly Row[] = [
  good(
    'an AdapterPolicy as in the documentation',
    `apiVersion: adaptlet.io/v1alpha1
kind: AdapterPolicy
metadata: { name: default }
spec:
  sources:
    registries: [registry.example/team-a]
    paths: []
  limits: { adapters: 20 }
  base: Deny
  runtimes: { pods: Deny }
  clients: { anonymous: Allow }
`,
  ),
  good('nothing', policy({})),
  good(
    'every limit',
    policy({
      limits: {
        adapterMemory: { guarantee: '256Mi', limit: '1.5Gi' },
        adapterDisk: { limit: '2G' },
        kvMemory: { guarantee: '0' },
        requests: { guarantee: 1, limit: 4 },
        tokensPerMinute: 10_000,
        adapters: 0,
      },
    }),
  ),
  good(
    'every client',
    policy({
      clients: {
        apiKeys: [
          key({ expires: '2027-01-31T00:00:00Z', from: ['10.0.0.0/8'], rights: ['Users'], tenant: 't' }),
        ],
        issuers: [{ name: 'i', issuer: 'https://i.example', audiences: ['adaptlet'], jwks: '{"keys": []}' }],
        certificates: [{ name: 'c', commonName: 'gateway.team-a', rights: ['Priority', 'Namespaces'] }],
      },
    }),
  ),
  good(
    'keys out of Secrets',
    policy({ clients: { keysFromSecrets: 'Allow', rightsFromSecrets: ['Users', 'Lifecycle'] } }),
  ),
  good(
    'some nodes',
    policy({ runtimes: { nodes: { matchLabels: { 'topology.kubernetes.io/zone': 'a', pool: 'edge' } } } }),
  ),
  good('keys of signatures', signatures({ required: false, keys: [{ name: 'release', publicKey }] })),
  good(
    'as many keys and identities of signatures as allowed',
    signatures({
      keys: Array.from({ length: 16 }, (_, i) => ({ name: `k${i}`, publicKey })),
      trustRoot,
      identities: Array.from({ length: 16 }, (_, i) => ({ ...identities[0], name: `i${i}` })),
    }),
  ),
  good('hosts with ports and in capitals', sources({ registries: ['localhost:5000', 'Registry.Example/a'] })),
  good(
    'hosts of metrics with ports, and of a domain',
    sources({ metricHosts: ['prometheus.monitoring.svc:9090', '*.example', '[::1]:80'] }),
  ),
  good('as many sources as allowed', sources({ paths: Array.from({ length: 64 }, (_, i) => `p${i}`) })),
  good('as many keys as allowed', keys(...Array.from({ length: 256 }, (_, i) => key({ name: `k${i}` })))),

  bad('another name', policy({}, 'mine'), 'metadata.name must be default: a namespace has one policy'),
  bad('signatures of nobody', signatures({}), 'must have a key or an identity'),
  bad('identities without a trust root', signatures({ identities }), 'identities need trustRoot'),
  bad(
    'a key of signatures that is none',
    signatures({ keys: [{ name: 'release', publicKey: 'hello' }] }),
    'must be a public key in PEM',
  ),
  bad(
    'a trust root that is none',
    signatures({ identities, trustRoot: '{}' }),
    'must be a trusted_root.json of sigstore',
  ),
  bad('a scheme', sources({ registries: ['https://registry.example'] }), 'must not start with a scheme'),
  bad('a tag', sources({ registries: ['registry.example/a:v1'] }), 'without a tag'),
  bad('no host', sources({ registries: ['team-a'] }), 'must be the host of a registry'),
  bad(
    'an address of metrics',
    sources({ metricHosts: ['http://prometheus'] }),
    'must be a host in lower case',
  ),
  bad('an absolute path', sources({ paths: ['/srv'] }), 'must be relative to an import root'),
  bad('a way out', sources({ paths: ['a/../b'] }), 'must not have ".." segments'),
  bad('the same path twice', sources({ paths: ['a', 'a'] }), 'Duplicate value'),
  bad('too many paths', sources({ paths: Array.from({ length: 65 }, (_, i) => `p${i}`) }), 'Too many'),
  bad('another answer for base', policy({ base: 'Maybe' }), 'spec.base: Unsupported value: "Maybe"'),
  bad('pods as a truth', policy({ runtimes: { pods: true } }), 'spec.runtimes.pods: Invalid value'),
  bad('less than nothing', policy({ limits: { adapters: -1 } }), 'spec.limits.adapters: Invalid value: -1'),
  bad(
    'a quantity without a number',
    policy({ limits: { adapterMemory: { limit: 'much' } } }),
    'must be a quantity of bytes such as 256Mi',
  ),
  bad('a key that is no digest', keys(key({ sha256: 'secret' })), '64 lower-case hexadecimal digits'),
  bad('two keys of one name', keys(key(), key()), 'Duplicate value'),
  bad('a right that is none', keys(key({ rights: ['Root'] })), 'Unsupported value: "Root"'),
  bad('an unknown field', policy({ quota: 1 }), 'unknown field "spec.quota"'),
  badForParser(
    'a quantity that no number holds',
    policy({ limits: { adapterMemory: { limit: '999999Pi' } } }),
    'must be a quantity of bytes',
    'CEL does not compute with quantities of this size',
  ),
];
