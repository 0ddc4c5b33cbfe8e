# frozen_string_literal: true

# A section of the document without what knock-outs of a deep merge leave: empty values, and items of lists that were to
# remove something of a more general level which has nothing of the kind.
Puppet::Functions.create_function(:'netkeel::without_knockouts') do
  # @param value A section, or a part of one.
  # @return [Any] The same without knocked out entries, fields and items; `undef` where all of it is knocked out.
  # @example A host that does not want the entry of its site
  #   netkeel::without_knockouts({ 'pods' => '', 'eth0' => { 'mtu' => 1460, 'rp_filter' => '' } })
  dispatch :without_knockouts do
    param 'Any', :value
    return_type 'Any'
  end

  def without_knockouts(value)
    knocked_out?(nil, value) ? nil : kept(value)
  end

  def kept(value)
    case value
    when Hash then value.reject { |key, inner| knocked_out?(key, inner) }.transform_values { |inner| kept(inner) }
    when Array then value.reject { |item| knocked_out?(nil, item) }
    else value
    end
  end

  # An alias may be empty.
  def knocked_out?(key, value)
    value.is_a?(String) && (value.start_with?('--') || (value.empty? && key != 'alias'))
  end
end
