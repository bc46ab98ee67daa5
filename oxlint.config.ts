import { defineConfig } from 'oxlint';

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'import', 'promise', 'node'],
  jsPlugins: ['./scripts/lint/plugin.ts'],
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'off',
    'typescript/switch-exhaustiveness-check': 'error',
    'typescript/consistent-type-imports': 'error',
    'no-empty': 'error',
    'no-console': 'error',
    'import/no-cycle': 'error',
    'no-await-in-loop': 'off',
    'no-underscore-dangle': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/prefer-add-event-listener': 'off',
    // Threads have no origin.
    'unicorn/require-post-message-target-origin': 'off',
    'typescript/consistent-return': 'off',
    'adaptlet/imports-point-down': 'error',
  },
  ignorePatterns: ['src/gen/**', 'test/device-plugin/gen/**', 'node_modules/**'],
  overrides: [
    {
      files: ['src/cli/**', 'scripts/**', 'test/**', 'src/**/*.test.ts'],
      rules: {
        'no-console': 'off',
        'unicorn/consistent-function-scoping': 'off',
        'no-unmodified-loop-condition': 'off',
      },
    },
    { files: ['cdk8s/**', 'examples/cdk8s/**', 'test/integration/manifests/**'], rules: { 'no-new': 'off' } },
  ],
});
