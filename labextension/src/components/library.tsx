// The library as one view: server, notice and models of one state.

import { ToolbarButtonComponent, refreshIcon } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { ILibraryState } from '../tokens';
import { Models } from './models';
import { Notice } from './notice';
import { Server } from './server';

interface ILibraryProps {
  readonly state: ILibraryState;
  readonly trans: TranslationBundle;
  readonly onRefresh: () => void;
  readonly onShowMore: () => void;
}

/** Everything in the panel. */
export function Library(props: ILibraryProps): React.JSX.Element {
  const { state, trans, onRefresh, onShowMore } = props;
  const { connection, status } = state;
  const stale = status !== null && connection.kind !== 'online';
  return (
    <>
      <header className="norman-Header">
        <h2 className="norman-Header-title">{trans.__('Norman models')}</h2>
        <ToolbarButtonComponent
          icon={refreshIcon}
          tooltip={trans.__('Refresh the models')}
          onClick={onRefresh}
        />
      </header>
      <div className="norman-Body" data-stale={stale}>
        <Notice connection={connection} trans={trans} onRetry={onRefresh} />
        {connection.kind === 'loading' ? (
          <p className="norman-Loading" role="status">
            {trans.__('Asking the server…')}
          </p>
        ) : null}
        {status === null ? null : (
          <>
            <Server
              status={status}
              stale={stale}
              versionsDiffer={state.versionsDiffer}
              trans={trans}
            />
            <Models
              models={state.models}
              hasMore={state.hasMore}
              trans={trans}
              onShowMore={onShowMore}
            />
          </>
        )}
      </div>
    </>
  );
}
