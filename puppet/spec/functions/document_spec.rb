# frozen_string_literal: true

require 'spec_helper'

describe 'netkeel::document' do
  it { is_expected.to run.with_params({}).and_return("version: 1\n") }

  it 'does not depend on the order of keys' do
    is_expected.to run.with_params({ 'b' => { 'd' => 1, 'c' => [2, 1] }, 'a' => nil }, "one\ntwo")
                      .and_return("# one\n# two\na:\nb:\n  c:\n  - 2\n  - 1\n  d: 1\nversion: 1\n")
  end

  it { is_expected.to run.with_params([]).and_raise_error(ArgumentError) }
end
